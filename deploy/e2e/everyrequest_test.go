package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// together is how many kills are tried before it is decided whether to go on.
const together = 4

// ordered makes a controller ask for the same in the same order in every run.
const ordered = "--concurrent-ssa=1"

// TestKillAtEveryRequest kills kustomize-controller at each request of an install
// and an upgrade.
func TestKillAtEveryRequest(t *testing.T) {
	t.Parallel()
	killAtEach(t, installAndUpgrade, []step{
		{"PATCH", "/kustomizations/app", "the finalizer"},
		{"PATCH", "/kustomizations/app/status", "the inventory or the conclusion"},
		{"PATCH", "-more", "the namespace"},
		{"PATCH", "(dry run)", "a validation"},
		{"PATCH", "/configmaps/settings", "an apply"},
		{"PATCH", "/configmaps/arriving", "the apply of what is new"},
		{"GET", "/configmaps/by-hand", "a look at what is not ours"},
		{"GET", "/configmaps/leaving", "a look at what is to be pruned"},
		{"DELETE", "/configmaps/leaving", "a deletion"},
	})
}

// step is a kind of request that must have been interrupted, by how it begins and
// ends.
type step struct{ method, end, what string }

// is reports whether a request is of the kind.
func (s step) is(request string) bool {
	return strings.HasPrefix(request, s.method+" ") && strings.HasSuffix(request, s.end)
}

// killAtEach calls try for each request that there is in it, once so that the request
// is lost, and once so that its answer is. try returns the request at which the
// controller was killed, "" if there are not as many.
func killAtEach(t *testing.T, try func(*testing.T, fault) string, steps []step) {
	tests := map[string]struct {
		why  string
		done bool
	}{
		"request lost": {why: "what was about to be done was not"},
		"answer lost":  {why: "what was done is not known to have been", done: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hits{}
			for first := 1; !t.Failed() && h.missed == 0; first += together {
				t.Run(fmt.Sprintf("from %d", first), func(t *testing.T) {
					for at := first; at < first+together; at++ {
						t.Run(fmt.Sprintf("request %d", at), func(t *testing.T) {
							t.Parallel()
							h.add(try(t, fault{at: at, done: tc.done}))
						})
					}
				})
			}
			t.Logf("killed at %d requests: %s", len(h.requests), tc.why)
			for _, s := range h.lacking(steps) {
				if t.Failed() {
					return
				}
				// The number of a request differs between runs, so that counting may miss it.
				t.Run(s.what, func(t *testing.T) {
					if request := try(t, fault{on: s.is, done: tc.done}); !s.is(request) {
						t.Errorf("%s was never interrupted, %s …%s:\n%s", s.what, s.method, s.end, strings.Join(h.requests, "\n"))
					}
				})
			}
		})
	}
}

// hits are the requests at which the controller was killed.
type hits struct {
	mu       sync.Mutex
	requests []string
	missed   int // runs that were over before
}

func (h *hits) add(request string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if request == "" {
		h.missed++
		return
	}
	h.requests = append(h.requests, request)
}

// lacking returns the steps of which none was interrupted.
func (h *hits) lacking(steps []step) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return slices.ContainsFunc(h.requests, s.is) })
}

// installAndUpgrade installs and upgrades an application, with a controller that dies
// at a certain request, and one that takes over then.
func installAndUpgrade(t *testing.T, f fault) string {
	w := newPublisher(t)
	more := w.Namespace + "-more"
	w.removeNamespace(more)
	made := w.bystanders("app")
	ks := w.kustomization("app", ids(made)...)

	var doomed *proxy
	died := false
	revisions := twoRevisions(w.Namespace, more)
	for i, r := range revisions {
		commit := w.publish(r.files())
		if i == 0 {
			doomed = w.startBehind(w.startKustomize, f, ordered)
		}
		if !died && w.diesBefore(doomed, ks, commit) {
			died = true
			w.checkNothingOrphaned(ks)
			w.startKustomize()
			w.handled(ks)
		}
		w.waitApplied(ks, commit)
		w.checkApplied(ks, r, revisions[:i]...)
		w.checkUntouched(made)
	}
	if !died {
		return ""
	}
	return doomed.last()
}

// twoRevisions returns an install and an upgrade, which changes, adds and removes an
// object. One that it removes asks not to be pruned.
func twoRevisions(space, more string) []revision {
	return []revision{
		{
			{kind: "Namespace", name: more},
			{kind: "ServiceAccount", space: space, name: "account"},
			{kind: "ConfigMap", space: space, name: "settings", value: "1"},
			{kind: "ConfigMap", space: space, name: "leaving", value: "1"},
			{kind: "ConfigMap", space: space, name: "staying", value: "1", kept: true},
		},
		{
			{kind: "Namespace", name: more},
			{kind: "ServiceAccount", space: space, name: "account"},
			{kind: "ConfigMap", space: space, name: "settings", value: "2"},
			{kind: "ConfigMap", space: more, name: "arriving", value: "2"},
		},
	}
}

// diesBefore waits until a controller is killed, or has applied a revision. It reports
// whether it was killed, if only at its last request.
func (w *world) diesBefore(doomed *proxy, ks *kustomizev1.Kustomization, commit string) bool {
	w.t.Helper()
	w.Wait("revision "+commit+" applied, or the controller killed", ks, func() bool {
		return doomed.wasHit() || applied(ks, commit)
	})
	if !doomed.wasHit() {
		return false
	}
	<-doomed.killed
	return true
}
