package drift

import (
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/apply"
)

// What is ignored may change hands as often as it likes; the rest of the object counts.
func TestIgnoredFieldsAreNoDrift(t *testing.T) {
	t.Parallel()
	const alsoKubectl = "f:spec: {f:replicas: {}, f:minReadySeconds: {}}"
	tests := map[string]struct {
		why, ours, theirs string
		wake              bool
	}{
		"taken from us":            {why: "it is ignored", ours: "f:spec: {f:paused: {}}", theirs: "f:spec: {f:replicas: {}}"},
		"set by kubectl, too":      {why: "it is not to be taken over", ours: oursFields, theirs: "f:spec: {f:replicas: {}}"},
		"with another field":       {why: "that one counts", ours: "f:spec: {}", theirs: "f:spec: {f:replicas: {}, f:paused: {}}", wake: true},
		"with another, of kubectl": {why: "that one is to be taken over", ours: oursFields, theirs: alsoKubectl, wake: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			left := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
			w.Applied(apply.Applied{ID: webID, Resource: deployments, Owner: w.owner, Content: "content", Ignored: fieldpath.NewSet(replicasPath), Object: left})
			w.Listed(deployments, []metav1.Object{left}, "10")
			w.Saw(deployments, deployment(t, 11, content(5), entry{manager: us, fields: tc.ours}, entry{manager: "kubectl-edit", fields: tc.theirs, update: true}))
			wakes := 0
			if tc.wake {
				wakes = 1
			}
			w.expect(tc.why, wakes, !tc.wake)
		})
	}
}

// An object that is created once is missed when it is gone, and not before.
func TestCreatedOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*watched, *unstructured.Unstructured){
		"from the beginning": func(w *watched, left *unstructured.Unstructured) {
			w.Applied(apply.Applied{ID: webID, Resource: deployments, Owner: w.owner, Content: "content", Once: true, Object: left})
		},
		"from now on": func(w *watched, left *unstructured.Unstructured) {
			w.apply("content", left)
			w.Spare(webID, true)
		},
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			left := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
			begin(w, left)
			w.Listed(deployments, []metav1.Object{left}, "10")
			w.Saw(deployments, deployment(t, 11, content(5), entry{manager: "tool", fields: oursFields, update: true}))
			w.expect("changed by somebody", 0, true)
			if !w.Recall(webID).Last.Once {
				t.Error("it is not known that the object is created once")
			}
			w.Lost(deployments, deployment(t, 12, content(5)))
			w.expect("deleted", 1, false)
		})
	}
}

func TestSparedIsNotWatched(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	left := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", left)
	w.Listed(deployments, []metav1.Object{left}, "10")
	w.Spare(webID, false)
	w.Saw(deployments, deployment(t, 11, content(5)))
	w.Lost(deployments, deployment(t, 12, content(5)))
	w.expect("changed and deleted", 0, false)
}

// The object asks to be left alone as long as it exists, and asks no more.
func TestLeftAloneOnRequest(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	left := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", left)
	w.Listed(deployments, []metav1.Object{left}, "10")
	touched := func(version int, annotations map[string]string) *unstructured.Unstructured {
		obj := deployment(t, version, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}, entry{manager: "kubectl-edit", fields: "f:spec: {f:replicas: {}}", update: true})
		obj.SetAnnotations(annotations)
		return obj
	}
	asked := map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "Disabled"}
	w.Saw(deployments, touched(11, asked))
	w.expect("changed, with a request", 0, true)
	w.Saw(deployments, touched(12, nil))
	w.expect("the request is withdrawn", 1, false)
	w.Saw(deployments, touched(13, asked))
	w.expect("asked again", 0, true)
	w.Lost(deployments, touched(14, asked))
	w.expect("deleted", 1, false)
}

// TestRequestThatNobodyHeeds: an object that asks is put back by those who do not listen.
func TestRequestThatNobodyHeeds(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.opts.Wishes = apply.NoWishes
	left := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", left)
	w.Listed(deployments, []metav1.Object{left}, "10")
	touched := deployment(t, 11, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}, entry{manager: "kubectl-edit", fields: "f:spec: {f:replicas: {}}", update: true})
	touched.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"})
	w.Saw(deployments, touched)
	w.expect("changed, with a request", 1, false)
}

// A field that kubectl adds again and again is left to it for a while, and what else it
// adds is not.
func TestFightAboutAnAddedField(t *testing.T) {
	t.Parallel()
	synctest.Test(t, fightAboutAnAddedField)
}

func fightAboutAnAddedField(t *testing.T) {
	added := fieldpath.MakePathOrDie("metadata", "annotations", "note")
	left := func(version int) *unstructured.Unstructured {
		return deployment(t, version, content(2), entry{manager: us, fields: oursFields})
	}
	noted := func(version int, more string) *unstructured.Unstructured {
		return deployment(t, version, content(2), entry{manager: us, fields: oursFields},
			entry{manager: "kubectl-annotate", fields: "f:metadata: {f:annotations: {f:note: {}" + more + "}}", update: true})
	}
	w := newWatched(t)
	w.apply("content", left(10))
	w.Listed(deployments, []metav1.Object{left(10)}, "10")
	version := 10
	for range patience {
		w.Saw(deployments, noted(version+1, ""))
		version += 2
		w.apply("content", left(version))
		w.Restored(webID, left(version), []Change{{Path: "metadata.annotations.note", Manager: "kubectl-annotate", path: added}})
	}
	w.expect("all rounds", patience, true)
	w.Saw(deployments, noted(version+1, ""))
	w.expect("added during the pause", 0, true)
	w.Saw(deployments, noted(version+2, ", f:more: {}"))
	w.expect("with another one", 1, false)
	w.Saw(deployments, noted(version+3, ""))
	w.expect("the other is gone", 0, true)
	w.pass(firstPause)
	w.expect("the pause is over", 1, false)
}
