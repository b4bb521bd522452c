package observe_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// TestWhatIsStored: the facts are those of the newest release, compared with the history.
func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		given func(w *world)
		state state.State
		facts state.Facts // but for what was wanted and attempted
	}{
		"nothing": {why: "it is to be installed", given: func(*world) {}, state: state.Absent},
		"what was recorded": {
			why: "all is in order", given: func(w *world) { w.store(w.version(1, release.StatusDeployed)); w.record(1) }, state: state.InSync,
			facts: state.Facts{Stored: stored(1, "deployed"), Recorded: &state.Entry{Version: 1, Fits: true}},
		},
		"what others made": {
			why: "the history is empty", given: func(w *world) { w.store(w.version(3, release.StatusDeployed)) }, state: state.Unmanaged,
			facts: state.Facts{Stored: stored(3, "deployed")},
		},
		"what others took away": {
			why: "and kept the history", given: func(w *world) { w.store(w.version(3, release.StatusUninstalled)) }, state: state.Absent,
			facts: state.Facts{Stored: stored(3, "uninstalled")},
		},
		"an action that nobody carries on": {
			why: "it is to be unlocked", given: func(w *world) { w.store(w.version(1, release.StatusPendingInstall)) }, state: state.Locked,
			facts: state.Facts{Stored: stored(1, "pending-install")},
		},
		"a failure": {
			why: "it was recorded as one", given: func(w *world) { w.store(w.version(1, release.StatusFailed)); w.record(1) }, state: state.Failed,
			facts: state.Facts{Stored: stored(1, "failed"), Recorded: &state.Entry{Version: 1, Fits: true, Failed: true}},
		},
		"another version": {
			why: "somebody has upgraded it", state: state.Unmanaged,
			given: func(w *world) {
				w.store(w.version(1, release.StatusDeployed))
				w.record(1)
				w.store(w.version(2, release.StatusDeployed, of("1.1.0", "theirs")))
			},
			facts: state.Facts{
				Stored:   &state.Release{Version: 2, Status: "deployed", Content: content("1.1.0", "theirs"), Labelled: true},
				Recorded: &state.Entry{Version: 1}, Earlier: []state.Content{content("1.0.0", "one")},
			},
		},
		"the same version, changed": {
			why: "somebody has written it anew", state: state.Unmanaged,
			given: func(w *world) {
				w.store(w.version(1, release.StatusDeployed))
				w.record(1)
				w.store(w.version(1, release.StatusDeployed, func(r *release.Release) { r.Info.Description = "by hand" }))
			},
			facts: state.Facts{Stored: stored(1, "deployed"), Recorded: &state.Entry{Version: 1}, Earlier: []state.Content{content("1.0.0", "one")}},
		},
		"a release of other values": {
			why: "it is to be upgraded", state: state.OutOfSync,
			given: func(w *world) {
				w.store(w.version(1, release.StatusDeployed))
				w.record(1)
				w.wanted = content("1.0.0", "two")
			},
			facts: state.Facts{Stored: stored(1, "deployed"), Recorded: &state.Entry{Version: 1, Fits: true}},
		},
		"a release without labels": {
			why: "it was post-rendered by nobody", state: state.Unmanaged,
			given: func(w *world) {
				w.store(w.version(1, release.StatusDeployed, func(r *release.Release) {
					r.Manifest = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
				}))
			},
			facts: state.Facts{Stored: &state.Release{Version: 1, Status: "deployed", Content: content("1.0.0", "one")}},
		},
		"a release that the tests failed of": {
			why: "a test counts as much as the release", state: state.Failed,
			given: func(w *world) {
				w.hr.Spec.Test = &helmv2.Test{Enable: true}
				w.store(w.version(1, release.StatusDeployed))
				w.record(1, tested(state.PhaseFailed))
			},
			facts: state.Facts{
				Stored: stored(1, "deployed"), Recorded: &state.Entry{Version: 1, Fits: true, Failed: true},
				Tests: state.Tests{Wanted: true, Run: true, Failed: true},
			},
		},
		"a release whose tests are yet to run": {
			why: "they are asked for", state: state.Untested,
			given: func(w *world) {
				w.hr.Spec.Test = &helmv2.Test{Enable: true}
				w.store(w.version(1, release.StatusDeployed))
				w.record(1)
			},
			facts: state.Facts{Stored: stored(1, "deployed"), Recorded: &state.Entry{Version: 1, Fits: true}, Tests: state.Tests{Wanted: true}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tc.given(w)
			found := w.found(tc.state)
			tc.facts.Wanted = w.wanted
			if r := found.Facts.Recorded; r != nil {
				if r.Fits == (r.Why != "") {
					t.Errorf("it fits: %t, because of %q; want a reason if not", r.Fits, r.Why)
				}
				r.Why = ""
			}
			if diff := cmp.Diff(tc.facts, found.Facts); diff != "" {
				t.Errorf("facts (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

// stored is a fact about a release as it is stored by default.
func stored(version int, status string) *state.Release {
	return &state.Release{Version: version, Status: status, Content: content("1.0.0", "one"), Labelled: true}
}

// tested has a snapshot tell of a test that ended in a phase.
func tested(phase string) func(*helmv2.Snapshot) {
	return func(s *helmv2.Snapshot) {
		s.TestHooks = &map[string]*helmv2.TestHookStatus{"app-test": {Phase: phase}}
	}
}

// TestReadsWhatItDoesNotKnow, and nothing twice.
func TestReadsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.costs("nothing is stored, which the watch tells", nil, func() { w.found(state.Absent) })
	for i := range 3 {
		w.store(w.version(i+1, release.StatusSuperseded))
	}
	w.store(w.version(4, release.StatusDeployed))
	w.record(4)
	w.costs("the newest is read", map[string]int{"GET " + key(4): 1}, func() { w.found(state.InSync) })
	w.costs("and known from then on", nil, func() {
		for range 3 {
			w.found(state.InSync)
		}
	})
	w.wanted = content("2.0.0", "two")
	w.costs("what is asked for is no matter", nil, func() { w.found(state.OutOfSync) })
	w.wanted = content("1.0.0", "one")

	w.store(w.version(4, release.StatusDeployed, func(r *release.Release) { r.Info.Description = "by hand" }))
	w.costs("somebody has written it", map[string]int{"GET " + key(4): 1}, func() { w.found(state.Unmanaged) })
	w.record(4)
	w.costs("there is another snapshot to compare it with", map[string]int{"GET " + key(4): 1}, func() { w.found(state.InSync) })
	w.store(w.version(5, release.StatusDeployed, of("1.1.0", "theirs")))
	w.costs("there is a newer one", map[string]int{"GET " + key(5): 1}, func() { w.found(state.Unmanaged) })
	w.remove(5)
	w.costs("there is no newer one any more", map[string]int{"GET " + key(4): 1}, func() { w.found(state.InSync) })
	for i := range 4 {
		w.remove(i + 1)
	}
	w.costs("there is none", nil, func() { w.found(state.Absent) })
}

// TestReadsEachTimeWhereNobodyWatches: as where that is not allowed.
func TestReadsEachTimeWhereNobodyWatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	idle := releases.NewWatcher(func(schema.GroupVersionResource) watch.Source { return nil }, func(string, string) {})
	unwatched := func(in *observe.Input) {
		in.Watcher = idle
		in.History = releases.Open(w.secrets(), "app")
	}
	for range 2 {
		w.costs("the storage is listed", map[string]int{"GET secrets": 1}, func() { w.found(state.InSync, unwatched) })
	}
	w.remove(1)
	w.costs("the storage is listed", map[string]int{"GET secrets": 1}, func() { w.found(state.Absent, unwatched) })
}

// TestMemoryIsOfOneRelease: what is known of one says nothing of another.
func TestMemoryIsOfOneRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	w.found(state.InSync)
	other := func(in *observe.Input) {
		in.Release.Name = "other"
		in.History = w.watcher.Open(w.secrets(), w.Namespace, "other")
	}
	w.found(state.Absent, other)
	w.costs("of which there is nothing left to know", map[string]int{"GET " + key(1): 1}, func() { w.found(state.InSync) })
}

// TestTargetOfARollback is told where the newest release failed: the newest that was good,
// and whether it is still there as it was.
func TestTargetOfARollback(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		given   func(w *world)
		version int
		sound   bool
		costs   map[string]int
	}{
		"as it was": {
			why: "it can be gone back to", given: func(*world) {}, version: 2, sound: true, costs: map[string]int{"GET " + key(3): 1, "GET " + key(2): 1},
		},
		"gone": {
			why: "somebody has deleted its Secret", given: func(w *world) { w.remove(2) }, version: 2, costs: map[string]int{"GET " + key(3): 1},
		},
		"changed": {
			why: "somebody has written it", version: 2, costs: map[string]int{"GET " + key(3): 1, "GET " + key(2): 1},
			given: func(w *world) {
				w.store(w.version(2, release.StatusSuperseded, func(r *release.Release) { r.Manifest += "# more\n" }))
			},
		},
		"corrupt": {
			why: "it cannot be read", given: func(w *world) { w.corrupt(2, "nothing") }, version: 2, costs: map[string]int{"GET " + key(3): 1, "GET " + key(2): 1},
		},
		"that failed a test": {
			why: "it was not good", given: func(w *world) { w.record(2, tested(state.PhaseFailed)) }, version: 1, sound: true,
			costs: map[string]int{"GET " + key(3): 1, "GET " + key(1): 1},
		},
		"that there is none of": {
			why: "there is nothing good in the history", costs: map[string]int{"GET " + key(3): 1},
			given: func(w *world) { w.hr.Status.History = w.hr.Status.History[:1] },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i, status := range []release.Status{release.StatusSuperseded, release.StatusSuperseded, release.StatusFailed} {
				w.store(w.version(i+1, status))
				w.record(i + 1)
			}
			tc.given(w)
			look := func() {
				t.Helper()
				found := w.found(state.Failed)
				if got := versionOf(found.Previous); got != tc.version || found.Sound != tc.sound {
					t.Errorf("it is version %d, sound %t; want %d, %t (%s)", got, found.Sound, tc.version, tc.sound, tc.why)
				}
			}
			w.costs("at first", tc.costs, look)
			w.costs("from then on", nil, look)
		})
	}
}

func versionOf(s *helmv2.Snapshot) int {
	if s == nil {
		return 0
	}
	return s.Version
}

// TestWhatARemediationLeft is known by its snapshot.
func TestWhatARemediationLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	if w.found(state.InSync).Remediated {
		t.Error("what was upgraded is said to be remediated")
	}
	w.record(1, func(s *helmv2.Snapshot) { s.Action = helmv2.ReleaseActionRollback })
	if !w.found(state.InSync).Remediated {
		t.Error("what was rolled back is not said to be remediated")
	}
}

var errBroken = errors.New("no route to host")

// TestWhatCannotBeRead is an error that tells what it was about, and nothing that is stored.
// What was known before is known after.
func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusDeployed))
	w.record(1)
	w.found(state.InSync)
	w.corrupt(1, "do-not-tell")
	err := w.fails("reading what is stored of the release: ", key(1))
	if !errors.Is(err, releases.ErrCorrupt) || strings.Contains(err.Error(), "do-not-tell") {
		t.Errorf("the error is %q; want it to be ErrCorrupt, without what the Secret has", err)
	}
	w.store(w.version(1, release.StatusDeployed))
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Resource == "secrets" && r.Method == http.MethodGet && !r.Watch {
			return errBroken
		}
		return nil
	})
	if err := w.fails("reading what is stored of the release: "); !errors.Is(err, errBroken) {
		t.Errorf("the error is %q; want it to be that of the connection", err)
	}
	w.Traffic.Break(nil)
	w.found(state.InSync)
	w.store(w.version(2, release.StatusFailed))
	w.record(1, func(s *helmv2.Snapshot) { s.Status = state.StatusDeployed })
	w.record(2)
	w.Traffic.Break(func(r testplane.Request) error {
		if strings.HasSuffix(r.Path, key(1)) {
			return errBroken
		}
		return nil
	})
	w.fails("cannot verify previous release to roll back to: ", errBroken.Error())
	w.Traffic.Break(nil)
	if found := w.found(state.Failed); !found.Sound {
		t.Errorf("what could not be read is taken for lost: %+v", found.Previous)
	}
}

// recovered are the snapshots in short.
func recovered(found observe.Found) []string {
	var out []string
	for _, s := range found.Recovered {
		out = append(out, s.FullReleaseName()[strings.Index(s.FullReleaseName(), "/")+1:]+" "+s.Status+" by "+string(s.Action)+" "+s.OCIDigest)
	}
	slices.Sort(out)
	return out
}
