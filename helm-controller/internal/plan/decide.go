package plan

import (
	"fmt"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/state"
)

// Decide returns what is to be done next in a pass.
func Decide(in Input) Decision {
	if in.Suspended {
		return Decision{Then: Conclude, Why: "reconciliation is suspended"}
	}
	if in.Moved != "" {
		return once(in, Uninstall, in.Moved)
	}
	switch in.State {
	case state.Absent:
		return absent(in)
	case state.Locked:
		return once(in, Unlock, in.Why)
	case state.Unmanaged:
		return unmanaged(in)
	case state.OutOfSync:
		return release(in, Upgrade, in.Spec.Upgrade, in.Counters.Upgrades)
	case state.Untested:
		return untested(in)
	case state.Failed:
		return failed(in)
	case state.Drifted:
		return drifted(in)
	case state.InSync:
		return inSync(in)
	default:
		return Decision{Then: Fail, Why: in.Why}
	}
}

// forced reports whether the user asks for a release that this pass has not had.
func (in Input) forced() bool {
	return (in.Forced || in.Unmade && !in.unmadeForGood()) && !in.Done.Has(Upgrade)
}

// unmadeForGood reports whether a release that a user asked for was stored, has failed and was
// gone back from, as often as the strategy lets it. What fails before it is stored does not count.
func (in Input) unmadeForGood() bool { return in.Unmade && in.active().exhausted(in.failures()) }

// remediated reports whether the newest release is what a remediation left, to its end: one
// that was unlocked in this pass is to be repeated.
func (in Input) remediated() bool { return in.Remediated && !in.Done.Has(Unlock) }

// failures returns the failures that count against the strategy that is active.
func (in Input) failures() int64 { return in.Counters.failures(in.Attempted) }

// active returns the strategy that counts.
func (in Input) active() Strategy { return in.Spec.Active(in.Attempted) }

// once decides for an action unless the pass had one of its type.
func once(in Input, a Action, why string) Decision {
	if !in.Done.Has(a) {
		return Decision{Then: Act, Action: a, Why: why}
	}
	switch a.Type() {
	case Corrects:
		return Decision{Then: Conclude, Why: why} // the next change that is seen begins a pass
	case Releases, Remediates:
		if in.Done.Has(Rollback) || in.State == state.Failed && in.failures() > 0 {
			return next(in, why)
		}
	}
	return Decision{Then: Fail, Why: fmt.Sprintf("the %s did not help: %s", a, why)}
}

// next decides when the next pass begins, after one that has remediated a failure, or
// was not to.
func next(in Input, why string) Decision {
	switch {
	case in.active().Retry:
		return Decision{Then: Later, Why: why, Truncate: true}
	case in.active().exhausted(in.failures()):
		return exceeded(in)
	default:
		return Decision{Then: Again, Why: why}
	}
}

// absent decides about a release that there is not.
func absent(in Input) Decision {
	if in.Remediated && in.Attempted != Install && in.Spec.Upgrade.exhausted(in.Counters.Upgrades) && !in.forced() {
		return exceeded(in) // it was uninstalled because of the last failure
	}
	d := release(in, Install, in.Spec.Install, in.Counters.Installs)
	d.Forget = d.Then == Act // a release that is gone can have had any version
	return d
}

// unmanaged decides about a release that others made or changed.
func unmanaged(in Input) Decision {
	if in.Done.Has(Upgrade) {
		return Decision{Then: Fail, Why: "the release that was just made was changed by others: " + in.Why}
	}
	return Decision{Then: Act, Action: Upgrade, Why: in.Why, Forget: true}
}

// untested decides about a release whose tests have not run.
func untested(in Input) Decision {
	if in.Done.Has(Test) && in.Done.Has(Upgrade) {
		return Decision{Then: Again, Why: in.Why} // it is a newer release than the pass has tested
	}
	return once(in, Test, in.Why)
}

// release decides for a new release, as long as there are retries.
func release(in Input, a Action, s Strategy, failures int64) Decision {
	if !s.exhausted(failures) {
		return once(in, a, in.Why)
	}
	if !in.forced() {
		return exceededBy(a, failures)
	}
	return force(a)
}

// force decides for what the user asks for.
func force(a Action) Decision {
	return Decision{Then: Act, Action: a, Why: "it is asked for", Forced: true}
}

// failed decides about a release that failed.
func failed(in Input) Decision {
	active, exhausted := in.active(), in.active().exhausted(in.failures())
	switch {
	case active.Retry:
		return again(in)
	case in.failures() == 0:
		return once(in, Upgrade, in.Why)
	case in.forced():
		return force(Upgrade)
	case exhausted && (!active.RemediateLast || in.remediated()):
		return exceeded(in)
	case in.remediated():
		return once(in, Upgrade, "the remediation failed")
	default:
		d := remediate(in)
		d.Truncate = true
		return d
	}
}

// again decides when a failed release is upgraded again: not in the pass in which it failed.
func again(in Input) Decision {
	d := Decision{Then: Later, Why: in.Why}
	switch {
	case in.forced():
		d = force(Upgrade)
	case !in.Done.Has(Upgrade) && !in.Done.Has(Test) && (!in.Resting || in.failures() == 0):
		d = Decision{Then: Act, Action: Upgrade, Why: in.Why}
	}
	d.Truncate = true
	return d
}

// remediate decides how a failure is undone.
func remediate(in Input) Decision {
	switch {
	case in.active().Uninstalls:
		return once(in, UninstallRemediation, in.Why)
	case in.Target == Sound:
		return once(in, Rollback, in.Why)
	case in.Target == NoTarget:
		return Decision{
			Then: Stall, Reason: helmv2.ReasonMissingRollbackTarget,
			Why: "Failed to perform remediation: missing target release for rollback",
		}
	case in.active().exhausted(in.failures()):
		return exceeded(in)
	default:
		return once(in, Upgrade, "the release to go back to is not in storage any more, or not as it was")
	}
}

// drifted decides about objects that were changed by others.
func drifted(in Input) Decision {
	switch {
	case in.forced():
		return force(Upgrade)
	case in.unmadeForGood() && !in.Spec.Corrects:
		return exceeded(in)
	case in.Unmade && (!in.Spec.Corrects || in.Done.Has(Correct)):
		return Decision{Then: Fail, Why: unmade}
	case !in.Spec.Corrects:
		return Decision{Then: Conclude, Why: in.Why}
	default:
		return once(in, Correct, in.Why)
	}
}

// unmade is why a release is not in order although it is as it should be.
const unmade = "the release that was asked for could not be made"

// inSync decides about a release that is as it should be.
func inSync(in Input) Decision {
	switch {
	case in.forced():
		return force(Upgrade)
	case in.unmadeForGood():
		return exceeded(in)
	case in.Unmade:
		return Decision{Then: Fail, Why: unmade}
	default:
		return Decision{Then: Conclude, Why: in.Why, Truncate: true}
	}
}

// exceeded decides that no more is tried, because of the action that was attempted.
func exceeded(in Input) Decision {
	if in.Attempted == Install {
		return exceededBy(Install, in.Counters.Installs)
	}
	return exceededBy(Upgrade, in.Counters.Upgrades)
}

// exceededBy decides that no more is tried.
func exceededBy(a Action, failures int64) Decision {
	return Decision{
		Then: Stall, Reason: helmv2.ReasonRetriesExceeded,
		Why: fmt.Sprintf("Failed to %s after %d attempt(s)", a, failures),
	}
}
