package state

import (
	"cmp"
	"slices"

	helmv2 "weir.dev/api/helm/v2"
)

// longest is how many snapshots are kept where none is of a good release.
const longest = 5

// Record returns a history with what was observed in storage: a snapshot takes the place
// of the one of the same release, and others are added. The newest is first. The given
// history is not changed.
func Record(history helmv2.Snapshots, observed ...*helmv2.Snapshot) helmv2.Snapshots {
	out := slices.Clone(history)
	for _, s := range observed {
		i := slices.IndexFunc(out, func(known *helmv2.Snapshot) bool { return sameRelease(known, s) })
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i] = complete(s, out[i])
	}
	slices.SortStableFunc(out, func(a, b *helmv2.Snapshot) int { return cmp.Compare(b.Version, a.Version) })
	return out
}

// complete returns a snapshot with what storage does not tell, but an earlier snapshot of
// the same release does. Helm calls superseded also what had failed, where no release before it
// was deployed, or a rollback from it fails: it is still nothing to go back to.
func complete(s, known *helmv2.Snapshot) *helmv2.Snapshot {
	c := *s
	if known.Status == StatusFailed && c.Status == StatusSuperseded {
		c.Status = StatusFailed
	}
	c.Action = cmp.Or(c.Action, known.Action)
	if c.TestHooks == nil {
		c.TestHooks = known.TestHooks
	}
	return &c
}

// sameRelease reports whether two snapshots are of one release.
func sameRelease(a, b *helmv2.Snapshot) bool {
	return a.Name == b.Name && a.Namespace == b.Namespace && a.Version == b.Version
}

// Previous returns the newest snapshot but the first that a rollback may go back to: one
// that was deployed and, unless that is ignored, failed no test. It is nil if there is none.
func Previous(history helmv2.Snapshots, ignoreTests bool) *helmv2.Snapshot {
	if i := previous(history, ignoreTests); i > 0 {
		return history[i]
	}
	return nil
}

// previous returns the place of the snapshot that Previous returns; 0 if there is none.
func previous(history helmv2.Snapshots, ignoreTests bool) int {
	for i, s := range history {
		if i > 0 && good(s) && (ignoreTests || !s.HasTestInPhase(PhaseFailed)) {
			return i
		}
	}
	return 0
}

// Truncate returns a history without what nothing goes back to: what is older than the
// target of a rollback. Where there is no such target, the newest five are kept.
func Truncate(history helmv2.Snapshots, ignoreTests bool) helmv2.Snapshots {
	if i := previous(history, ignoreTests); i > 0 {
		return history[:i+1]
	}
	return history[:min(len(history), longest)]
}

// good reports whether a release was, at the time, as it should be.
func good(s *helmv2.Snapshot) bool {
	return s.Status == StatusDeployed || s.Status == StatusSuperseded
}
