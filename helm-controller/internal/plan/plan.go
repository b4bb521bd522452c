// Package plan decides what is to be done about a release. It is pure: it sees plain
// values, and a test can try all of them.
//
// A pass is what begins when there is something to do and goes on until the release is
// as it should be, or nothing more is to be tried for now. Of each type of action, there
// is one at most in a pass, so that a pass always ends. After each action the state is
// observed again, and decided anew.
//
// Failures of installations and of upgrades are counted, each as long as generation,
// chart and values stay the same, so that retries come to an end; see Counters.
package plan

import (
	"fmt"

	"weir.dev/helm-controller/internal/state"
)

// Action is something that is done about a release.
type Action int

const (
	// None: nothing is done.
	None Action = iota
	// Install makes the first release, or the first after an uninstallation.
	Install
	// Upgrade makes the next release.
	Upgrade
	// Test runs the tests of the newest release.
	Test
	// Rollback makes a release of what an earlier one was, because the newest failed.
	Rollback
	// UninstallRemediation takes the release away, because it failed.
	UninstallRemediation
	// Uninstall takes the release away, because it is to be elsewhere, or not at all.
	Uninstall
	// Unlock has a release that an action has left in between count as failed.
	Unlock
	// Correct restores objects that were changed by others, without a new release.
	Correct
)

// String returns the word for the action in messages.
func (a Action) String() string {
	names := [...]string{"none", "install", "upgrade", "test", "rollback", "uninstall-remediation", "uninstall", "unlock", "drift correction"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("Action(%d)", int(a))
	}
	return names[a]
}

// Type is a class of actions, of which one is allowed in a pass.
type Type int

const (
	// Nothing is the type of None.
	Nothing Type = iota
	// Releases make a new release of what is asked for.
	Releases
	// Remediates undo a failure.
	Remediates
	// Tests run tests.
	Tests
	// Unlocks end what was left in between.
	Unlocks
	// Corrects restore objects.
	Corrects
	// Removes take a release away for good.
	Removes
)

// Type returns the type of the action.
func (a Action) Type() Type {
	switch a {
	case Install, Upgrade:
		return Releases
	case Rollback, UninstallRemediation:
		return Remediates
	case Test:
		return Tests
	case Unlock:
		return Unlocks
	case Correct:
		return Corrects
	case Uninstall:
		return Removes
	default:
		return Nothing
	}
}

// Done are the types of action that a pass has had. The zero value has none.
type Done struct{ types [Removes + 1]bool }

// With returns d and one more action.
func (d Done) With(a Action) Done {
	d.types[a.Type()] = true
	return d
}

// Has reports whether the pass had an action of the type of a.
func (d Done) Has(a Action) bool { return a != None && d.types[a.Type()] }

// Any reports whether the pass had an action at all.
func (d Done) Any() bool { return d != Done{} }

// Target is the release that a rollback would bring back.
type Target int

const (
	// NoTarget: the history has no earlier release that was good.
	NoTarget Target = iota
	// Lost: it is no longer in storage, or not as it was.
	Lost
	// Sound: it is there.
	Sound
)

// Input is all that a decision depends on.
type Input struct {
	State state.State
	// Why is why the release is in this state.
	Why string
	// Suspended: the user has stopped everything.
	Suspended bool
	// Moved says that the release is to be of another name, namespace, storage or chart
	// than the one of the history; empty if not. See Moved.
	Moved string
	Spec  Spec
	// Attempted is the last of Install and Upgrade that was attempted; None if there
	// was none.
	Attempted Action
	Counters  Counters
	// Remediated says that the newest release of the history is what a remediation left,
	// whether that succeeded or not.
	Remediated bool
	// Forced: the user asks for a release, whatever its state and counters, once.
	Forced bool
	// Unmade: a release that is as it should be is what was there before the user asked for
	// another, which could not be made. It is still asked for.
	Unmade bool
	// Resting: the interval of RetryOnFailure is not over since the last attempt.
	Resting bool
	// Target is what Rollback would go back to.
	Target Target
	// Done is what this pass has done so far.
	Done Done
}

// Then is how a pass goes on.
type Then int

const (
	// Fail: it ends with an error, and is tried again with backoff.
	Fail Then = iota
	// Act: Decision.Action is carried out, then it is decided again.
	Act
	// Conclude: it ends, because there is nothing to do.
	Conclude
	// Again: it ends, and the next begins at once.
	Again
	// Later: it ends, and the next begins when the retry interval is over.
	Later
	// Stall: it ends, and nothing is tried before something changes.
	Stall
)

// String returns the name of how a pass goes on.
func (t Then) String() string {
	names := [...]string{"Fail", "Act", "Conclude", "Again", "Later", "Stall"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("Then(%d)", int(t))
	}
	return names[t]
}

// Decision is what is to be done.
type Decision struct {
	Then   Then
	Action Action // what to do if Then is Act, else None
	// Reason is the reason of the condition Stalled, if Then is Stall.
	Reason string
	// Why is for people: the message of the condition if Then is Stall, and of the error
	// if Then is Fail; else it is for the log.
	Why string
	// Forget says that the history is of no use any more, and is cleared first: the release
	// is not ours, or there is none.
	Forget bool
	// Truncate says that the history is shortened to what is still of use.
	Truncate bool
	// Forced says that it is done only because the user asks for it.
	Forced bool
}
