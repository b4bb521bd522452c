// Package state tells in which state a release is, from what is known of it. It is pure:
// package observe collects the facts, and package plan decides what follows.
//
// The state of a release is what its storage says, compared with what the HelmRelease
// remembers of its own doings and with what it asks for. Only what the history of the
// HelmRelease has is managed. A release that Helm stored and that the HelmRelease did
// not come to remember, because the process was killed in between, is recognised by Ours.
package state

import (
	"fmt"
	"slices"
)

// State is what a release is, compared with what it should be.
type State int

const (
	// Unclear: what is stored fits nothing that is known, and nothing must be done.
	Unclear State = iota
	// Absent: there is no release, or it was uninstalled.
	Absent
	// Locked: an action has begun that nobody carries on.
	Locked
	// Unmanaged: somebody else made or changed the newest release.
	Unmanaged
	// OutOfSync: the release is of another chart or of other values than asked for.
	OutOfSync
	// Untested: the release is as it should be, and its tests have not run.
	Untested
	// Failed: the newest release failed, or a test of it that counts.
	Failed
	// Drifted: the release is as it should be, and its objects are not.
	Drifted
	// InSync: the release is as it should be.
	InSync
)

// String returns the name of the state.
func (s State) String() string {
	names := [...]string{"Unclear", "Absent", "Locked", "Unmanaged", "OutOfSync", "Untested", "Failed", "Drifted", "InSync"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return names[s]
}

// All returns every state.
func All() []State {
	return []State{Unclear, Absent, Locked, Unmanaged, OutOfSync, Untested, Failed, Drifted, InSync}
}

// Helm's words for the status of a stored release.
const (
	StatusDeployed        = "deployed"
	StatusFailed          = "failed"
	StatusUninstalled     = "uninstalled"
	StatusUninstalling    = "uninstalling"
	StatusSuperseded      = "superseded"
	StatusPendingInstall  = "pending-install"
	StatusPendingUpgrade  = "pending-upgrade"
	StatusPendingRollback = "pending-rollback"
)

// Helm's words for the phases of hooks that have run.
const (
	PhaseSucceeded = "Succeeded"
	PhaseFailed    = "Failed"
)

// Content is what a release is made of.
type Content struct {
	ChartName    string
	ChartVersion string // with what was added to it for an OCI artifact
	ConfigDigest string // of the values
}

// Release is the newest release in storage.
type Release struct {
	Version int
	Status  string // Helm's word
	Content
	// Labelled says that the objects of its manifest carry the labels of the HelmRelease.
	Labelled bool
}

// Entry is the newest entry of the history of the HelmRelease.
type Entry struct {
	Version int
	// Fits says that it is of the newest stored release, and that nobody has changed that
	// since. It says nothing while nothing is stored.
	Fits bool
	// Why tells in what it does not fit; it may be empty.
	Why string
	// Failed says that it records a failure, which may have been remediated since.
	Failed bool
	// Unlocked says that it is of the newest stored release as it was before that was unlocked,
	// and nothing else was done to that.
	Unlocked bool
}

// Tests are what is known of the tests of the newest release.
type Tests struct {
	Wanted bool // the spec asks for them
	Run    bool
	Failed bool // one or more did
	// Ignored says that failures of tests do not count as failures of the release.
	Ignored bool
}

// Facts are what is known of a release. They are plain values, so that every combination
// can be tried.
type Facts struct {
	// Stored is the newest release in storage; nil if there is none.
	Stored *Release
	// Recorded is the newest entry of the history; nil if that is empty.
	Recorded *Entry
	// Wanted is what the release is to be made of.
	Wanted Content
	// Attempted is what was to be made when the last action began; its chart has no name.
	Attempted Content
	// Earlier is what the releases of the history are made of, which a rollback may bring
	// back.
	Earlier []Content
	// Relaid says that the spec is new, and that what it lays over the objects of the
	// chart is other than it was.
	Relaid bool
	// Tests are those of the newest release.
	Tests Tests
	// Drifted says that objects of the release were changed or deleted by others. It is
	// never so where the spec asks for no drift detection.
	Drifted bool
}

// Of returns the state that the facts amount to, and why.
func Of(f Facts) (State, string) {
	switch {
	case f.Stored == nil:
		return Absent, "there is no release in storage"
	case locked(f.Stored.Status):
		return Locked, fmt.Sprintf("the release was left in status '%s'", f.Stored.Status)
	case f.Recorded == nil && f.Stored.Status == StatusUninstalled:
		return Absent, "the release was uninstalled"
	case f.Recorded == nil:
		return Unmanaged, "the release was made by others"
	case !f.Recorded.Fits:
		return Unmanaged, unfit(f)
	}
	switch f.Stored.Status {
	case StatusFailed:
		return Failed, "the release failed"
	case StatusUninstalled:
		return Absent, "the release was uninstalled"
	case StatusDeployed:
		return deployed(f)
	default:
		return Unclear, fmt.Sprintf("nothing is known of releases in status '%s'", f.Stored.Status)
	}
}

// locked reports whether a status is that of an action under way. As nobody else acts, one
// that is found has lost whoever carried it on. Helm takes up an uninstallation by itself,
// but nothing else while it lasts, so it locks a release as well.
func locked(status string) bool {
	switch status {
	case StatusPendingInstall, StatusPendingUpgrade, StatusPendingRollback, StatusUninstalling:
		return true
	}
	return false
}

// unfit tells why the newest stored release is not the one that is remembered.
func unfit(f Facts) string {
	if f.Recorded.Why != "" {
		return f.Recorded.Why
	}
	return "the release was changed by others"
}

// deployed returns the state of a deployed release that is ours.
func deployed(f Facts) (State, string) {
	is, want := f.Stored.Content, f.Wanted
	switch {
	case is.ChartName != want.ChartName:
		return OutOfSync, fmt.Sprintf("the chart is to be %s instead of %s", want.ChartName, is.ChartName)
	case is.ChartVersion != want.ChartVersion:
		return OutOfSync, fmt.Sprintf("the version of the chart is to be %s instead of %s", want.ChartVersion, is.ChartVersion)
	case is.ConfigDigest != want.ConfigDigest:
		return OutOfSync, "the values have changed"
	case f.Relaid:
		return OutOfSync, "what is laid over the objects of the chart has changed"
	case f.Tests.Wanted && !f.Tests.Run:
		return Untested, "the tests have not run"
	case f.Tests.Wanted && f.Tests.Failed && !f.Tests.Ignored:
		return Failed, "a test failed"
	case f.Drifted:
		return Drifted, "objects were changed by others"
	default:
		return InSync, "the release is as it should be"
	}
}

// Ours reports whether the newest stored release, which the history does not have, was
// made by this HelmRelease all the same, before its process was killed: it follows on the
// newest that is remembered, carries our labels, and is made of what was to be made, or,
// if that had failed and was rolled back, of what was made before. Or it is the newest that is
// remembered, and only unlocked.
func Ours(f Facts) bool {
	if f.Stored == nil || !f.Stored.Labelled {
		return false
	}
	if f.Recorded != nil && f.Recorded.Unlocked {
		return true
	}
	if f.Recorded != nil && (f.Recorded.Fits || f.Stored.Version != f.Recorded.Version+1) {
		return false
	}
	is := f.Stored.Content
	if f.Attempted.ChartVersion != "" && is.ChartVersion == f.Attempted.ChartVersion && is.ConfigDigest == f.Attempted.ConfigDigest {
		return true
	}
	return f.Recorded != nil && f.Recorded.Failed && slices.Contains(f.Earlier, is)
}
