package kustomization_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestBadRevisionLeavesTheLastGoodState publishes something good, then something
// bad, then something good again.
func TestBadRevisionLeavesTheLastGoodState(t *testing.T) {
	t.Parallel()
	const immutable = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed, namespace: NS}\nimmutable: true\ndata: {k: %q}\n"
	tests := map[string]struct {
		why    string
		tree   map[string]string
		reason string
		says   []string // parts of the message
	}{
		"the path is missing": {
			why: "it was moved in Git", tree: map[string]string{"else/a.yaml": "x: y"},
			reason: kustomizev1.ReasonArtifactFailed, says: []string{"kustomization path not found: app"},
		},
		"the path is a file": {
			why: "kustomize takes directories", tree: map[string]string{"app": "x: y"},
			reason: kustomizev1.ReasonArtifactFailed, says: []string{"app is a file"},
		},
		"a cycle": {
			why: "the way around it is named",
			tree: map[string]string{
				"app/kustomization.yaml":   "resources: [../other]",
				"other/kustomization.yaml": "resources: [../app]",
			},
			reason: kustomizev1.ReasonBuildFailed, says: []string{"other/kustomization.yaml:1", "cycle: app -> other -> app"},
		},
		"a remote base": {
			why: "a build asks nobody", tree: map[string]string{"app/kustomization.yaml": "resources: ['https://git.example.com/base?ref=main']"},
			reason: kustomizev1.ReasonBuildFailed, says: []string{"app/kustomization.yaml:1", "remote"},
		},
		"a base outside of the source": {
			why: "paths end at the root", tree: map[string]string{"app/kustomization.yaml": "resources: [../../etc]"},
			reason: kustomizev1.ReasonBuildFailed, says: []string{`"../../etc" climbs out of the source`},
		},
		"a missing file": {
			why: "the entry that names it is to blame", tree: map[string]string{"app/kustomization.yaml": "resources:\n- gone.yaml"},
			reason: kustomizev1.ReasonBuildFailed, says: []string{`app/kustomization.yaml:2: resources[0] "gone.yaml" does not exist`},
		},
		"a bad patch": {
			why: "it names nothing that is there",
			tree: map[string]string{
				"app/kustomization.yaml": "resources: [a.yaml]\npatches:\n- patch: |\n    {apiVersion: v1, kind: ConfigMap, metadata: {name: other}}\n",
				"app/a.yaml":             configMapYAML("a", "k", "2"),
			},
			reason: kustomizev1.ReasonBuildFailed, says: []string{"app/kustomization.yaml", "patches[0]", "there is no ConfigMap other to patch"},
		},
		"invalid YAML": {
			why: "file and line are named", tree: map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\n\tmetadata: x\n"},
			reason: kustomizev1.ReasonBuildFailed, says: []string{"app/a.yaml:3: invalid YAML"},
		},
		"an object defined twice": {
			why: "either could win", tree: map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/b.yaml": configMapYAML("a", "k", "3")},
			reason: kustomizev1.ReasonBuildFailed, says: []string{"app/b.yaml:1: ConfigMap", "already defined in app/a.yaml:1"},
		},
		"an unknown kind": {
			why:    "its definition is missing",
			tree:   map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/b.yaml": "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: n, namespace: NS}\n"},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"Nothing/NS/n", `no such kind "Nothing" in "example.com/v1"`},
		},
		"an object that the API server refuses": {
			why:    "its siblings are not touched either",
			tree:   map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/b.yaml": configMapYAML("Bad_Name", "k", "2")},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"ConfigMap/NS/Bad_Name apply failed (Invalid)", "metadata.name"},
		},
		"a field that is of the wrong type": {
			why:    "the API server says which",
			tree:   map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/b.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: NS}\nspec: {ports: [{port: eighty}]}\n"},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"Service/NS/s", ".spec.ports"},
		},
		"a namespace that is missing": {
			why:    "it must exist, or be part of the Kustomization",
			tree:   map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: NS-gone}\n"},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"ConfigMap/NS-gone/b", `namespaces "NS-gone" not found`},
		},
		"an object without a namespace": {
			why:    "there is no default",
			tree:   map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"ConfigMap/a namespace not specified", "spec.targetNamespace"},
		},
		"an immutable field": {
			why:    "without force it stays",
			tree:   map[string]string{"app/a.yaml": configMapYAML("a", "k", "2"), "app/f.yaml": strings.Replace(immutable, "%q", "'2'", 1)},
			reason: kustomizev1.ReasonReconciliationFailed, says: []string{"ConfigMap/NS/fixed dry-run failed (Invalid)", "immutable"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ks := w.kustomization("app", "./app")
			good := map[string]string{"app/a.yaml": configMapYAML("a", "k", "1"), "app/f.yaml": strings.Replace(immutable, "%q", "'1'", 1)}
			first := w.publish(good)
			w.waitApplied(ks, first)

			bad := w.publish(tc.tree)
			c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, tc.reason)
			for _, part := range tc.says {
				if part = strings.ReplaceAll(part, "NS", w.Namespace); !strings.Contains(c.Message, part) {
					t.Errorf("the condition says\n%s\nwant it to say %q (%s)", c.Message, part, tc.why)
				}
			}
			w.expectValue("a", "1")
			w.expectValue("fixed", "1")
			attempted := bad
			if tc.reason == kustomizev1.ReasonArtifactFailed {
				attempted = first // there was nothing to attempt
			}
			if ks.Status.LastAppliedRevision != first || ks.Status.LastAttemptedRevision != attempted {
				t.Errorf("applied %s, attempted %s; want %s and %s", ks.Status.LastAppliedRevision, ks.Status.LastAttemptedRevision, first, attempted)
			}
			if n := len(ks.Status.Inventory.Entries); n < 2 {
				t.Errorf("the inventory has %d entries; want it to keep both objects", n)
			}
			w.waitEvent(ks, corev1.EventTypeWarning, tc.reason, c.Message)

			w.waitApplied(ks, w.publish(map[string]string{"app/a.yaml": configMapYAML("a", "k", "3"), "app/f.yaml": good["app/f.yaml"]}))
			w.expectValue("a", "3")
		})
	}
}

// TestPathThroughASymlinkIsMissing: an artifact has no symlinks.
func TestPathThroughASymlinkIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "./app")
	w.publishAs(func(out io.Writer) error {
		zipped := gzip.NewWriter(out)
		a := tar.NewWriter(zipped)
		err := a.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "app", Linkname: "/etc"})
		return errors.Join(err, a.Close(), zipped.Close())
	})
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonArtifactFailed)
	if want := "kustomization path not found: app"; c.Message != want {
		t.Errorf("the condition says %q; want %q", c.Message, want)
	}
}

func TestTamperedArtifactIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--http-retry=0")
	ks := w.kustomization("app", "")
	first := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, first)
	w.tamper.Store(true)
	w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "2")})
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonArtifactFailed)
	if !strings.Contains(c.Message, "digest") {
		t.Errorf("the condition says %q; want it to speak of the digest", c.Message)
	}
	w.expectValue("a", "1")
	w.tamper.Store(false)
	w.Poke(ks)
	w.Eventually("the good bytes are applied", func() bool { cm := w.configMap("a"); return w.Get(cm) && cm.Data["k"] == "2" })
}

func TestSourceThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) { s.SourceRef.Name = "later" })
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonArtifactFailed)
	if want := "GitRepository '" + w.Namespace + "/later' not found"; c.Message != want {
		t.Errorf("the condition says %q; want %q", c.Message, want)
	}
	w.repo = w.source("later")
	w.waitMessage(ks, kustomizev1.ConditionReady, "Source is not ready, artifact not found, retrying in 30s")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})) // at once, not after an interval
}

func TestSourceOfAnotherNamespaceIsRefusedByFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--no-cross-namespace-refs")
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) { s.SourceRef.Namespace = "default" })
	c := w.WaitCondition(ks, kustomizev1.ConditionStalled, metav1.ConditionTrue, kustomizev1.ReasonAccessDenied)
	if want := "can't access 'GitRepository/default/source', cross-namespace references have been blocked"; c.Message != want {
		t.Errorf("the condition says %q; want %q", c.Message, want)
	}
}

// expectValue fails the test unless a ConfigMap has the value under "k".
func (w *world) expectValue(name, want string) {
	w.t.Helper()
	cm := w.configMap(name)
	if !w.Get(cm) || cm.Data["k"] != want {
		w.t.Errorf("ConfigMap %s is %v; want k=%s", name, cm.Data, want)
	}
}
