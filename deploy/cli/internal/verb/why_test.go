package verb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhyTellsWhatItMay: what may not be read, or is not here, is said of what is told, and keeps
// nothing else back.
func TestWhyTellsWhatItMay(t *testing.T) {
	t.Parallel()
	zero := strings.Repeat("0", 40)
	configMap := "\n---\n" + app(appliedBy("kustomize", "apps"), "kustomize-controller", "  size: small\n")
	itself := func(spec string) string {
		return strings.Replace(apps(zero, spec), "flux-system}", "flux-system, labels: "+appliedBy("kustomize", "apps")+"}", 1)
	}
	const release = "\n---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: flux-system}\n"
	const there = "  kubeConfig: {secretRef: {name: there}}\n"
	const gitRepositories = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories"
	tests := map[string]struct {
		why     string
		of      string
		objects string
		hidden  []string
		code    int
		out     []string
		not     []string
		said    []string
	}{
		"an applier that is hidden": {
			why: "the labels name it", of: "configmap/app", objects: apps(zero, "") + configMap, hidden: []string{kustomizationsPath + "/apps"},
			out: []string{"Applied by:   Kustomization/flux-system/apps: it may not be read: "},
		},
		"a source that is hidden": {
			of: "configmap/app", objects: apps(zero, "") + fleet + configMap, hidden: []string{gitRepositories + "/fleet"},
			out:  []string{"Applied by:   Kustomization/flux-system/apps\n", "Waits for: "},
			said: []string{"whether it waits for GitRepository/flux-system/fleet is not known: it may not be read", "the file of ConfigMap/flux-system/app is not known"},
		},
		"an owner that is hidden": {
			of: "configmap/app", hidden: []string{"/api/v1/namespaces/flux-system/services/web"},
			objects: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: flux-system, ownerReferences: [{apiVersion: v1, kind: Service, name: web, uid: a, controller: true}]}\n",
			out:     []string{"Made by:      Service/flux-system/web\n"}, said: []string{"what Service/flux-system/web is from is not known: it may not be read"},
		},
		"what owns itself": {
			why: "nobody should, and it ends", of: "service/web", out: []string{"Object:       Service/flux-system/web\n"},
			objects: "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: flux-system, ownerReferences: [{apiVersion: v1, kind: Service, name: web, uid: a, controller: true}]}\n",
		},
		"a source that does not exist": {
			of: "ks/apps", objects: apps(zero, ""), out: []string{"Waits for:    GitRepository/flux-system/fleet: it does not exist\n"},
		},
		"what applies itself": {
			of: "ks/apps", objects: itself("") + fleet, out: []string{"Applied by:   Kustomization/flux-system/apps\n"}, not: []string{"no Kustomization", "which is by"},
			said: []string{"the file of Kustomization/flux-system/apps is not known"},
		},
		"what is applied by that": {
			why: "that it applies itself is said of it alone", of: "configmap/app", objects: itself("") + fleet + configMap,
			out: []string{"Applied by:   Kustomization/flux-system/apps\n"}, not: []string{"which is by"},
		},
		"what applies elsewhere": {of: "ks/apps", objects: apps(zero, there), out: []string{"Applies to:   another cluster, by spec.kubeConfig\n"}},
		"what is applied elsewhere": {
			why: "it is not gone from here", of: "configmap/app", objects: apps(zero, there), code: 1,
			said: []string{"none of the 0 Kustomizations has applied it, or would; Kustomization/flux-system/apps has applied such an object, in another cluster"},
		},
		"what nobody applies": {
			why: "charts are not rendered", of: "configmap/none", objects: apps(zero, "") + fleet + release, code: 1,
			said: []string{"none of the 1 Kustomizations has applied it, or would, and none of the 1 HelmReleases has: their charts were not rendered, but of these it is not known:"},
		},
		"what perhaps a HelmRelease applies": {
			of: "configmap/app", objects: apps(zero, ""), hidden: []string{"/apis/helm.toolkit.fluxcd.io/v2/helmreleases"},
			out: []string{"NotFound: it was applied, and is gone\n"}, said: []string{"listing helmreleases: "},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, said := weir(t, holding(t, tc.objects, tc.hidden...), "why", tc.of)
			if code != tc.code {
				t.Errorf("ended with %d, want %d (%s)", code, tc.code, tc.why)
			}
			for _, want := range tc.out {
				if !strings.Contains(out, want) {
					t.Errorf("printed\n%s\nwant %q (%s)", out, want, tc.why)
				}
			}
			for _, no := range tc.not {
				if strings.Contains(out, no) {
					t.Errorf("printed\n%s\nwant no %q (%s)", out, no, tc.why)
				}
			}
			for _, want := range tc.said {
				if !strings.Contains(said, want) {
					t.Errorf("said %q, want %q (%s)", said, want, tc.why)
				}
			}
		})
	}
}

// TestWhyOfWhatIsPending: that the source has it is told, even if not who wrote it.
func TestWhyOfWhatIsPending(t *testing.T) {
	t.Parallel()
	dir, commit := repository(t, map[string]string{"more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: flux-system}\n"})
	code, out, said := weir(t, holding(t, apps(commit, "")), "why", "configmap/more", "--repo", dir)
	if code != 0 || !strings.Contains(out, "  file:       more.yaml:1\n  changed:") {
		t.Errorf("ended with %d, printed\n%s and said %q", code, out, said)
	}
	last := commitTo(t, dir, map[string]string{"more.yaml": "# more\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: flux-system}\n"})
	if err := os.Remove(filepath.Join(dir, ".git", "objects", commit[:2], commit[2:])); err != nil {
		t.Fatal(err)
	}
	code, out, said = weir(t, holding(t, apps(last, "")), "why", "configmap/more", "--repo", dir)
	if code != 0 || !strings.Contains(out, "NotFound: the source has it at main@sha1:") || !strings.Contains(said, "the file of ConfigMap/flux-system/more is not known") {
		t.Errorf("without its history, it ended with %d, printed\n%s and said %q", code, out, said)
	}
}

// TestTraceTellsWhatItMay: the chain ends where it may not be read, and says so.
func TestTraceTellsWhatItMay(t *testing.T) {
	t.Parallel()
	objects := apps("", "") + "\n---\n" + app(appliedBy("kustomize", "apps"), "kustomize-controller", "  size: small\n")
	code, out, said := weir(t, holding(t, objects, kustomizationsPath+"/apps"), "trace", "configmap/app", "-n", "flux-system")
	if want := "Kustomization: apps\nNamespace:     flux-system\nStatus:        It may not be read: "; code != 0 || !strings.Contains(out, want) {
		t.Errorf("ended with %d, printed\n%s and said %q; want %q", code, out, said, want)
	}
}
