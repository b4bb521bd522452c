package verb_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// Paths of what may be hidden.
const (
	kustomizationsPath = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
	releasesPath       = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases"
	configMapPath      = "/api/v1/namespaces/flux-system/configmaps/"
	eventsPath         = "/api/v1/namespaces/flux-system/events"
)

// restored is an event of the Kustomization apps about a field.
func restored(field string) string {
	return `
---
apiVersion: v1
kind: Event
metadata: {name: apps.` + field + `, namespace: flux-system, uid: "` + field + `", resourceVersion: "1"}
type: Normal
reason: DriftCorrected
message: "ConfigMap/flux-system/app: data.` + field + ` nothing -> \"x\" by kubectl-edit at 00:00:00Z, restored"
lastTimestamp: "2026-01-01T00:00:00Z"
involvedObject: {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, namespace: flux-system, name: apps}
`
}

// edited is a ConfigMap of the Kustomization apps with a field that somebody has added.
func edited(name string) string {
	return `
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: ` + name + `
  namespace: flux-system
  labels: ` + appliedBy("kustomize", "apps") + `
  managedFields:
  - {manager: kubectl-edit, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:` + name + `": {}}}}
data: {` + name + `: hand}
`
}

// TestDriftShowsWhatMayBeRead: what may not be read is a warning, and keeps nothing else back.
func TestDriftShowsWhatMayBeRead(t *testing.T) {
	t.Parallel()
	by := func(spec string) string {
		return strings.Replace(apps(strings.Repeat("0", 40), spec), "entries: [", "entries: [{id: flux-system_one__ConfigMap, v: v1}, {id: flux-system_two__ConfigMap, v: v1}, ", 1)
	}
	all := by("") + restored("colour") + edited("app") + edited("one") + edited("two")
	tests := map[string]struct {
		why     string
		args    string
		objects string
		hidden  []string
		want    []string // fields
		said    []string // one of each
	}{
		"all may be read": {objects: all, want: []string{"data.app", "data.one", "data.two", "data.colour"}},
		"some objects": {
			why: "once for the kind", objects: all, hidden: []string{configMapPath + "one", configMapPath + "two", "/api/v1/namespaces/flux-system/configmaps"},
			want: []string{"data.app", "data.colour"}, said: []string{"what stands in objects of kind ConfigMap is not known of all: "},
		},
		"only Kustomizations": {objects: all, hidden: []string{releasesPath}, want: []string{"data.app", "data.one", "data.two", "data.colour"}, said: []string{"listing helmreleases: "}},
		"only HelmReleases":   {objects: all, hidden: []string{kustomizationsPath}, want: []string{"data.colour"}, said: []string{"listing kustomizations: "}},
		"no events":           {objects: all, hidden: []string{eventsPath}, want: []string{"data.app", "data.one", "data.two"}, said: []string{"what was restored or reported is not known: "}},
		"of an object, without what applies it": {
			why: "its name is in the labels", args: "configmap/app", objects: all, hidden: []string{kustomizationsPath + "/apps"},
			want: []string{"data.app", "data.colour"}, said: []string{"Kustomization/flux-system/apps applies it, and may not be read: "},
		},
		"in another cluster": {
			why: "those here are others of the same names", objects: by("  kubeConfig: {secretRef: {name: there}}\n") + restored("colour") + edited("app"), want: []string{"data.colour"},
		},
		"of one that applies itself": {
			why: "once", args: "ks/apps", want: []string{"data.app", "data.colour"},
			objects: strings.Replace(apps(strings.Repeat("0", 40), ""), "flux-system}", "flux-system, labels: "+appliedBy("kustomize", "apps")+"}", 1) + restored("colour") + edited("app"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := holding(t, tc.objects, tc.hidden...)
			code, out, said := weir(t, a, append([]string{"drift", "--no-header"}, strings.Fields(tc.args)...)...)
			var got []string
			for line := range strings.Lines(out) {
				for cell := range strings.FieldsSeq(line) {
					if strings.HasPrefix(cell, "data.") {
						got = append(got, cell)
					}
				}
			}
			if code != 0 || strings.Join(got, " ") != strings.Join(tc.want, " ") {
				t.Errorf("ended with %d and printed\n%s; want 0 and %q (%s)", code, out, tc.want, tc.why)
			}
			if strings.Count(said, "⚠") != len(tc.said) {
				t.Errorf("said %q; want %q", said, tc.said)
			}
			for _, want := range tc.said {
				if strings.Count(said, want) != 1 {
					t.Errorf("said %q; want %q once", said, want)
				}
			}
			asked := make(map[string]bool)
			for _, uri := range a.asked {
				if strings.HasPrefix(uri, eventsPath) && asked[uri] {
					t.Errorf("asked twice: %s", uri)
				}
				asked[uri] = true
			}
		})
	}
	code, out, said := weir(t, holding(t, all, kustomizationsPath, releasesPath), "drift")
	if code != 1 || out != "" || !strings.Contains(said, "you may not read") {
		t.Errorf("where nothing that applies may be read, it ended with %d, printed %q and said %q", code, out, said)
	}
}

// TestDriftOfWhatIsNotThere: a name that is wrong is an error in any format, and a warning to who
// waits for what comes.
func TestDriftOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	a := func() *answers { return holding(t, apps("", "")+restored("colour")) }
	for _, format := range []string{"", "wide", "json", "yaml"} {
		code, out, said := weir(t, a(), "drift", "configmap/none", "-o", format)
		if code != 1 || out != "" || !strings.Contains(said, "ConfigMap/flux-system/none does not exist") {
			t.Errorf("-o %q ended with %d, printed %q and said %q", format, code, out, said)
		}
	}
	if code, out, said := weir(t, a(), "drift", "configmap/app", "-o", "json"); code != 0 || !strings.Contains(out, "data.colour") {
		t.Errorf("of what an event tells of, it ended with %d, printed %q and said %q", code, out, said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	said := &ending{want: "ConfigMap/flux-system/none does not exist", end: cancel}
	if code := weirTo(ctx, t, a(), &out, said, "drift", "configmap/none", "-w"); code != 0 || ctx.Err() == nil {
		t.Errorf("with -w, it ended with %d, printed %q and said %q", code, out.String(), said.text.String())
	}
}
