package drift

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/apply"
)

func TestDriftIsSeenInOurEntryOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		seen func(t *testing.T) *unstructured.Unstructured
		wake bool
	}{
		"our own write comes back": {
			why: "it is what we left",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
			},
		},
		"an older state comes late": {
			why:  "it was before our write",
			seen: func(t *testing.T) *unstructured.Unstructured { return deployment(t, 9, content(5)) },
		},
		"the status moves": {
			why: "status is not ours",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "kcm", fields: "f:status: {f:replicas: {}}", update: true, subresource: "status"})
			},
		},
		"somebody adds a field that we do not set": {
			why: "it is theirs",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "tool", fields: "f:metadata: {f:annotations: {f:x: {}}}", update: true})
			},
		},
		"somebody takes a field": {
			why: "the API server moves it out of our entry",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}, entry{manager: "kubectl-scale", fields: "f:spec: {f:replicas: {}}", update: true})
			},
			wake: true,
		},
		"somebody blanks managedFields": {
			why:  "nothing is known to be ours any more",
			seen: func(t *testing.T) *unstructured.Unstructured { return deployment(t, 11, content(2)) },
			wake: true,
		},
		"another owner is named by the labels": {
			why: "somebody applied it under our name",
			seen: func(t *testing.T) *unstructured.Unstructured {
				obj := deployment(t, 11, content(2), entry{manager: us, fields: oursFields})
				obj.SetLabels(map[string]string{"owner": "other", "owner-ns": "flux-system"})
				return obj
			},
			wake: true,
		},
		"kubectl adds a field that we do not set": {
			why: "it is to be taken over",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "kubectl-edit", fields: "f:spec: {f:minReadySeconds: {}}", update: true})
			},
			wake: true,
		},
		"an overridden manager adds a field": {
			why: "it is to be taken over",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "legacy", fields: "f:spec: {f:minReadySeconds: {}}"})
			},
			wake: true,
		},
		"kubectl scales": {
			why: "what it sets by a subresource is not taken over",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "kubectl", fields: "f:spec: {f:minReadySeconds: {}}", update: true, subresource: "scale"})
			},
		},
		"kubectl asks for fields to be merged, and adds one": {
			why: "the object is heard",
			seen: func(t *testing.T) *unstructured.Unstructured {
				obj := deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "kubectl-edit", fields: "f:spec: {f:minReadySeconds: {}}", update: true})
				obj.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/ssa": "merge"})
				return obj
			},
		},
		"kubectl asks for something": {
			why: "a request is no field that the source lacks",
			seen: func(t *testing.T) *unstructured.Unstructured {
				return deployment(t, 11, content(2), entry{manager: us, fields: oursFields}, entry{manager: "kubectl-annotate", fields: "f:metadata: {f:annotations: {.: {}, f:reconcile.fluxcd.io/requestedAt: {}}}", update: true})
			},
		},
		"kubectl takes a field, and asks to be left alone": {
			why: "nobody would restore it",
			seen: func(t *testing.T) *unstructured.Unstructured {
				obj := deployment(t, 11, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}, entry{manager: "kubectl-edit", fields: "f:spec: {f:replicas: {}}", update: true})
				obj.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"})
				return obj
			},
		},
		"it was deleted and created anew": {
			why: "it is another object",
			seen: func(t *testing.T) *unstructured.Unstructured {
				obj := deployment(t, 11, content(2), entry{manager: us, fields: oursFields})
				obj.SetUID("uid-2")
				return obj
			},
			wake: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			w.apply("content", deployment(t, 10, content(2), entry{manager: us, fields: oursFields}))
			w.Listed(deployments, []metav1.Object{deployment(t, 10, content(2), entry{manager: us, fields: oursFields})}, "10")
			w.expect("after the apply", 0, true)
			w.Saw(deployments, tc.seen(t))
			wakes := 0
			if tc.wake {
				wakes = 1
			}
			w.expect(tc.why, wakes, !tc.wake)
		})
	}
}

func TestNothingIsIntactUntilItWasSeen(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	obj := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", obj)
	w.expect("before the list", 0, false)
	w.Listed(deployments, []metav1.Object{obj}, "10")
	w.expect("after the list", 0, true)
	w.Refused(deployments, errors.New("may not watch"))
	w.expect("when watching is refused", 0, false)
}

func TestDeletionIsDrift(t *testing.T) {
	t.Parallel()
	obj := func(t *testing.T, version int) *unstructured.Unstructured {
		return deployment(t, version, content(2), entry{manager: us, fields: oursFields})
	}
	t.Run("as an event", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.apply("content", obj(t, 10))
		w.Listed(deployments, []metav1.Object{obj(t, 10)}, "10")
		w.Lost(deployments, obj(t, 12))
		w.expect("deleted", 1, false)
		if live := w.Recall(webID).Live; live.ResourceVersion != "" {
			t.Errorf("a deleted object counts as live: %+v", live)
		}
		w.apply("content", obj(t, 13))
		w.Saw(deployments, obj(t, 13))
		w.expect("created again", 0, true)
	})
	t.Run("missed while the watch was down", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.apply("content", obj(t, 10))
		w.Listed(deployments, nil, "12")
		w.expect("not in the new list", 1, false)
	})
	t.Run("not yet in an old list", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.apply("content", obj(t, 10))
		w.Listed(deployments, nil, "9")
		w.expect("the list is of before the apply", 0, true)
	})
	t.Run("of what expires", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.Applied(apply.Applied{ID: webID, Resource: deployments, Owner: w.owner, Content: "content", Expires: true, Object: obj(t, 10)})
		w.Listed(deployments, []metav1.Object{obj(t, 10)}, "10")
		w.Lost(deployments, obj(t, 12))
		w.expect("a Job that is done would run again and again", 0, true)
	})
	t.Run("wanted", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.apply("content", obj(t, 10))
		w.Listed(deployments, []metav1.Object{obj(t, 10)}, "10")
		w.Forget(webID)
		w.Lost(deployments, obj(t, 12))
		w.expect("forgotten before", 0, false)
	})
}

func TestDriftFasterThanTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.apply("content", deployment(t, 10, content(2), entry{manager: us, fields: oursFields}))
	w.Listed(deployments, nil, "9")
	w.Saw(deployments, deployment(t, 12, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}))
	w.expect("drifted", 1, false)
	// The answer to our next write is late: the object has moved on since.
	w.apply("content", deployment(t, 11, content(2), entry{manager: us, fields: oursFields}))
	w.expect("the answer is older than what was seen", 1, false)
}

// round lets somebody take spec.replicas at a version, and restores it if that is due.
func (w *watched) round(version int) (restored bool, pauses []Pause) {
	w.t.Helper()
	w.Saw(deployments, deployment(w.t, version, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"},
		entry{manager: "hpa", fields: "f:spec: {f:replicas: {}}", update: true}))
	known := w.Recall(webID)
	if known.Intact {
		return false, nil
	}
	fields := oursFields
	if known.Yielded != nil && known.Yielded.Has(replicasPath) {
		fields = "f:spec: {f:paused: {}}"
	}
	live := deployment(w.t, version+1, content(2), entry{manager: us, fields: fields})
	w.apply("content", live)
	pauses = w.Restored(webID, live, []Change{{Path: "spec.replicas", Manager: "hpa", path: replicasPath}})
	w.Saw(deployments, live)
	return true, pauses
}

var replicasPath = fieldpath.MakePathOrDie("spec", "replicas")

func TestFightAtMachineSpeedBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, fightAtMachineSpeedBacksOff)
}

func fightAtMachineSpeedBacksOff(t *testing.T) {
	w := newWatched(t)
	first := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", first)
	w.Listed(deployments, []metav1.Object{first}, "10")

	version := 10
	for i := range patience {
		version += 2
		restored, pauses := w.round(version)
		if !restored {
			t.Fatalf("round %d was not answered", i+1)
		}
		if paused := len(pauses) > 0; paused != (i == patience-1) {
			t.Fatalf("round %d begins a pause: %t", i+1, paused)
		}
	}
	w.mu.Lock()
	w.wakes = 0
	w.mu.Unlock()
	version += 2
	if restored, _ := w.round(version); restored {
		t.Fatal("the field was restored during the pause")
	}
	w.expect("taken during the pause", 0, true)

	// Another field of the object is restored as ever, without the yielded one.
	version += 2
	w.Saw(deployments, deployment(t, version, content(5), entry{manager: us, fields: "f:spec: {}"}))
	w.expect("another field is taken during the pause", 1, false)
	if known := w.Recall(webID); !known.Yielded.Has(replicasPath) {
		t.Errorf("yields %s; want spec.replicas", known.Yielded)
	}
	version++
	left := deployment(t, version, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"})
	w.apply("content", left)
	w.Saw(deployments, left)
	w.expect("the other field is restored", 0, true)

	w.pass(firstPause)
	w.expect("the pause is over and the field still taken", 1, false)
	version += 2
	restored, pauses := w.round(version)
	if !restored || len(pauses) != 1 || pauses[0].For != 2*firstPause {
		t.Errorf("restored %t with pauses %+v; want another of %s", restored, pauses, 2*firstPause)
	}
}

func TestFightEndsWithNewContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, fightEndsWithNewContent)
}

func fightEndsWithNewContent(t *testing.T) {
	w := newWatched(t)
	w.apply("content", deployment(t, 10, content(2), entry{manager: us, fields: oursFields}))
	w.Listed(deployments, nil, "9")
	version := 10
	for range patience {
		version += 2
		w.round(version)
	}
	version += 2
	w.apply("new content", deployment(t, version, content(3), entry{manager: us, fields: oursFields}))
	if known := w.Recall(webID); known.Yielded != nil {
		t.Errorf("yields %s after new content was applied; want nothing", known.Yielded)
	}
	w.expect("new content", patience, true)
	w.pass(longestPause)
	w.expect("when the pauses would be over", 0, true)
}

func TestPersonIsAnsweredEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, personIsAnsweredEachTime)
}

func personIsAnsweredEachTime(t *testing.T) {
	w := newWatched(t)
	w.apply("content", deployment(t, 10, content(2), entry{manager: us, fields: oursFields}))
	w.Listed(deployments, nil, "9")
	version := 10
	for i := range 20 {
		w.pass(3 * time.Second)
		version += 2
		if restored, pauses := w.round(version); !restored || len(pauses) > 0 {
			t.Fatalf("edit %d: restored %t, pauses %+v; want it restored at once", i+1, restored, pauses)
		}
	}
}

// TestPersonIsAnsweredAfterALook: that a dry run looks first makes no machine of a person.
func TestPersonIsAnsweredAfterALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, personIsAnsweredAfterALook)
}

func personIsAnsweredAfterALook(t *testing.T) {
	w := newWatched(t)
	w.apply("content", deployment(t, 10, content(2), entry{manager: us, fields: oursFields}))
	w.Listed(deployments, nil, "9")
	version := 10
	for i := range 20 {
		w.pass(3 * time.Second)
		version += 2
		found := deployment(t, version, content(5), entry{manager: us, fields: "f:spec: {f:paused: {}}"}, entry{manager: "hpa", fields: "f:spec: {f:replicas: {}}", update: true})
		w.Saw(deployments, found)
		w.Applied(apply.Applied{
			ID: webID, Resource: deployments, Owner: w.owner, Content: "content",
			Object: deployment(t, version, content(2), entry{manager: us, fields: oursFields}), Noticed: found,
		})
		if restored, pauses := w.round(version); !restored || len(pauses) > 0 {
			t.Fatalf("edit %d: restored %t, pauses %+v; want it restored at once", i+1, restored, pauses)
		}
	}
}

func TestObjectThatIsDeletedAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, objectThatIsDeletedAgainAndAgain)
}

func objectThatIsDeletedAgainAndAgain(t *testing.T) {
	w := newWatched(t)
	obj := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	w.apply("content", obj)
	w.Listed(deployments, []metav1.Object{obj}, "10")
	version := 10
	for range patience {
		version += 2
		w.Lost(deployments, deployment(t, version, content(2)))
		live := deployment(t, version+1, content(2), entry{manager: us, fields: oursFields})
		w.apply("content", live)
		w.Restored(webID, live, nil)
		w.Saw(deployments, live)
	}
	w.mu.Lock()
	w.wakes = 0
	w.mu.Unlock()
	w.Lost(deployments, deployment(t, version+2, content(2)))
	w.expect("deleted during the pause", 0, true)
	w.pass(firstPause)
	w.expect("the pause is over", 1, false)
}
