// Package observe collects the facts about a release: what its storage says, what the
// status of its HelmRelease remembers, and whether its objects are as it left them. It
// writes nothing.
//
// It reads what it does not know. While the watches of the cluster tell that nothing has
// changed, that is nothing: what was read before is in a Memory. Objects are looked at by
// a dry run only if nothing is known of them, as after a start of the process, or if they
// are known to have changed.
package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/tenant"
)

// Input is what the facts are about.
type Input struct {
	// HelmRelease has the history, and what was attempted last. It is not changed.
	HelmRelease *helmv2.HelmRelease
	// At is where the objects of the release are, and its storage.
	At *tenant.Place
	// History is the storage of the release. That of an action that has just ended knows
	// what there is, and need not read it again.
	History *releases.History
	// Watcher knows without a request what is stored.
	Watcher *releases.Watcher
	// Storage is the namespace of the storage, Release the name and namespace of the
	// release.
	Storage string
	Release types.NamespacedName
	// Wanted is what the release is to be made of.
	Wanted state.Content
	// Values are those that Wanted has the digest of; nil if they are of no matter.
	Values map[string]any
	// Relaid says that what is laid over the objects of the chart is new; see state.Facts.
	Relaid bool
	// IgnoreTests says that failures of tests do not count.
	IgnoreTests bool
	// Digest is the algorithm of the digests of snapshots.
	Digest digest.Algorithm
}

// Found is what was observed.
type Found struct {
	Facts state.Facts
	State state.State
	Why   string
	// Owner is the HelmRelease that the objects of the newest release name; empty if they
	// name none.
	Owner types.NamespacedName
	// Recovered are releases that this HelmRelease has made and its history does not have,
	// or not as they are by now, because the process was killed in between. They are to
	// be recorded before anything else is done; see state.Record.
	Recovered []*helmv2.Snapshot
	// Remediated says that the newest release is what a remediation left. A rollback that was
	// unlocked was cut off.
	Remediated bool
	// Previous is what a rollback would go back to, and Sound whether it is in storage as
	// it was. They are told of a failed release only.
	Previous *helmv2.Snapshot
	Sound    bool
	// Drift has the objects that others have changed; nil unless the spec asks for drift
	// detection and the release is as it should be otherwise.
	Drift *Drift
}

// Facts returns what is known of a release, and the state that it amounts to. The memory is
// that of the HelmRelease; what is read is kept in it.
func Facts(ctx context.Context, m *Memory, in Input) (Found, error) {
	defer m.forget()
	found := Found{}
	newest, err := m.newest(ctx, in)
	if err != nil {
		return found, fmt.Errorf("reading what is stored of the release: %w", err)
	}
	if newest != nil {
		found.Owner = newest.owner
	}
	history := in.HelmRelease.Status.History
	found.Facts = in.facts(newest)
	if err := broughtBack(ctx, in, newest, found.Facts); err != nil {
		return found, err
	}
	if state.Ours(found.Facts) {
		if found.Recovered, err = missed(ctx, in, found.Facts.Stored); err != nil {
			return found, err
		}
		history = state.Record(history, found.Recovered...)
		if history[0].Action != helmv2.ReleaseActionRollback { // it was made as the last attempt was to be
			found.Facts.Relaid = in.HelmRelease.Status.LastAttemptedGeneration != in.HelmRelease.Generation
		}
		found.Facts.Stored, found.Facts.Recorded = newest.fact(history[0].ConfigDigest), recordOf(history[0])
		found.Facts.Recorded.Fits = true
	}
	if last := history.Latest(); last != nil {
		found.Facts.Tests = testsOf(in, last)
		found.Remediated = last.Action == helmv2.ReleaseActionRollback && !newest.isUnlocked() || !last.Deleted.IsZero()
	}
	found.State, found.Why = state.Of(found.Facts)
	switch found.State {
	case state.Failed:
		found.Previous = state.Previous(history, in.IgnoreTests)
		found.Sound, err = m.sound(ctx, in, found.Previous)
	case state.InSync:
		found.Drift, err = m.look(ctx, in, newest)
		if err == nil && found.Drift.Any() {
			found.Facts.Drifted = true
			found.State, found.Why = state.Of(found.Facts)
		}
	}
	return found, err
}

// facts returns what is known so far.
func (in Input) facts(newest *stored) state.Facts {
	status := in.HelmRelease.Status
	f := state.Facts{
		Wanted:    in.Wanted,
		Attempted: state.Content{ChartVersion: status.LastAttemptedRevision, ConfigDigest: status.LastAttemptedConfigDigest},
		Relaid:    in.Relaid,
	}
	if newest == nil {
		return f
	}
	last := status.History.Latest()
	if last == nil {
		f.Stored = newest.fact(in.merged(newest))
		return f
	}
	f.Recorded = recordOf(last)
	err := newest.verify(last)
	if err == nil {
		f.Recorded.Fits = true
		f.Stored = newest.fact(last.ConfigDigest)
		return f
	}
	f.Recorded.Why, f.Recorded.Unlocked = err.Error(), newest.unlocks(last)
	f.Stored = newest.fact(in.merged(newest))
	for _, s := range status.History {
		f.Earlier = append(f.Earlier, contentOf(s))
	}
	return f
}

// merged returns the digest of the values that were last attempted if a release has these, and
// by the wish of the spec those of the release before under them; else "".
func (in Input) merged(newest *stored) string {
	if !in.preserves() || !newest.holds(in.Wanted.ConfigDigest, in.Values) {
		return ""
	}
	return in.Wanted.ConfigDigest
}

// preserves reports whether the release that was last attempted, which is the one that is
// wanted, was to have the values of the release before under its own.
func (in Input) preserves() bool {
	status := in.HelmRelease.Status
	return in.HelmRelease.GetUpgrade().PreserveValues && status.LastAttemptedReleaseAction == helmv2.ReleaseActionUpgrade &&
		in.Wanted.ConfigDigest == status.LastAttemptedConfigDigest
}

// recordOf returns what a snapshot tells.
func recordOf(s *helmv2.Snapshot) *state.Entry {
	return &state.Entry{Version: s.Version, Failed: s.Status == state.StatusFailed || s.HasTestInPhase(state.PhaseFailed)}
}

func contentOf(s *helmv2.Snapshot) state.Content {
	return state.Content{ChartName: s.ChartName, ChartVersion: s.ChartVersion, ConfigDigest: s.ConfigDigest}
}

// testsOf returns what is known of the tests of the newest release.
func testsOf(in Input, last *helmv2.Snapshot) state.Tests {
	return state.Tests{
		Wanted:  in.HelmRelease.GetTest().Enable,
		Run:     last.HasBeenTested(),
		Failed:  last.HasTestInPhase(state.PhaseFailed),
		Ignored: in.IgnoreTests,
	}
}

// missed returns what the history would have, had the process not been killed: the newest
// release, and how the one before has ended.
func missed(ctx context.Context, in Input, newest *state.Release) ([]*helmv2.Snapshot, error) {
	status := in.HelmRelease.Status
	oldest := newest.Version
	for _, s := range status.History {
		oldest = min(oldest, s.Version)
	}
	var out []*helmv2.Snapshot
	for r, err := range in.History.Each(ctx) {
		switch {
		case errors.Is(err, releases.ErrCorrupt) && len(out) > 0:
			continue
		case err != nil:
			return nil, err
		case len(out) == 0 && r.Version != newest.Version:
			return nil, fmt.Errorf("%w: version %d of %q is not the newest any more", releases.ErrChanged, newest.Version, in.Release.Name)
		}
		switch known := find(status.History, r); {
		case r.Version == newest.Version && known != nil: // it was unlocked
			s := r.Snapshot(in.Digest, known.OCIDigest)
			s.Action, s.ConfigDigest = known.Action, known.ConfigDigest
			out = append(out, s)
		case r.Version == newest.Version:
			s := r.Snapshot(in.Digest, status.LastAttemptedRevisionDigest)
			s.Action, s.ConfigDigest = status.LastAttemptedReleaseAction, newest.ConfigDigest
			if earlier := rolledBackTo(status.History, r, s); earlier != nil {
				s = r.Snapshot(in.Digest, earlier.OCIDigest)
				s.Action = helmv2.ReleaseActionRollback
			}
			out = append(out, s)
		case known != nil && endedSince(r, known):
			s := r.Snapshot(in.Digest, known.OCIDigest)
			s.ConfigDigest = known.ConfigDigest
			out = append(out, s)
		}
		if r.Version <= oldest {
			break // what is before has no entry
		}
	}
	slices.Reverse(out)
	return out, nil
}

// find returns the snapshot of a release.
func find(history helmv2.Snapshots, r *releases.Release) *helmv2.Snapshot {
	for _, s := range history {
		if s.Name == r.Name && s.Namespace == r.Namespace && s.Version == r.Version {
			return s
		}
	}
	return nil
}

// rolledBackTo returns the snapshot of what a release brings back; nil if it is no
// rollback.
func rolledBackTo(history helmv2.Snapshots, r *releases.Release, s *helmv2.Snapshot) *helmv2.Snapshot {
	if !isRollback(r) {
		return nil
	}
	for _, earlier := range history {
		if contentOf(earlier) == contentOf(s) {
			return earlier
		}
	}
	return nil
}

// endedSince reports whether a release differs from its snapshot in its status only.
func endedSince(r *releases.Release, known *helmv2.Snapshot) bool {
	if r.Info.Status.String() == known.Status {
		return false
	}
	before := *r
	rel, info := *r.Release, *r.Info
	before.Release, rel.Info = &rel, &info
	info.Status = statusOf(known.Status)
	return before.Verify(known) == nil
}

// configDigest identifies the values of a stored release.
func configDigest(r *releases.Release) string { return values.Digest(digest.Canonical, r.Config) }
