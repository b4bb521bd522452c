package plan

import helmv2 "weir.dev/api/helm/v2"

// Spec is what decisions take from the spec of a HelmRelease.
type Spec struct {
	Install Strategy
	Upgrade Strategy
	// Corrects: drift is corrected, and not only told of.
	Corrects bool
}

// Strategy is what is done about failures of an installation or of an upgrade.
type Strategy struct {
	// Retry: a failed release is kept and upgraded again at an interval, without end.
	// Nothing else in here counts then, but IgnoreTests.
	Retry bool
	// Retries is how many attempts there are after the first; negative means no limit.
	Retries int
	// RemediateLast: the last failure is remediated too.
	RemediateLast bool
	// Uninstalls: remediation is an uninstallation, not a rollback.
	Uninstalls bool
	// IgnoreTests: failed tests do not count.
	IgnoreTests bool
}

// SpecOf returns what decisions take from the spec of hr; def is the strategy of those that
// name none.
func SpecOf(hr *helmv2.HelmRelease, def helmv2.StrategyName) Spec {
	return Spec{
		Install:  strategyOf(hr, helmv2.ReleaseActionInstall, hr.GetInstall().GetStrategy(def)),
		Upgrade:  strategyOf(hr, helmv2.ReleaseActionUpgrade, hr.GetUpgrade().GetStrategy(def)),
		Corrects: hr.GetDriftDetection().Mode == helmv2.DriftDetectionEnabled,
	}
}

// strategyOf returns the strategy of an action. Remediation has no say where it is Retry.
func strategyOf(hr *helmv2.HelmRelease, action helmv2.ReleaseAction, name helmv2.StrategyName) Strategy {
	if name == helmv2.StrategyRetryOnFailure {
		return Strategy{Retry: true, IgnoreTests: hr.GetTest().IgnoreFailures}
	}
	r := hr.GetRemediation(action)
	return Strategy{
		Retries:       r.Retries,
		RemediateLast: r.RemediateLastFailure,
		Uninstalls:    r.Strategy == helmv2.UninstallRemediationStrategy,
		IgnoreTests:   r.IgnoreTestFailures,
	}
}

// AttemptedOf returns the last of Install and Upgrade that was attempted.
func AttemptedOf(action helmv2.ReleaseAction) Action {
	switch action {
	case helmv2.ReleaseActionInstall:
		return Install
	case helmv2.ReleaseActionUpgrade:
		return Upgrade
	default:
		return None
	}
}

// exhausted reports whether no attempt is left after some failures.
func (s Strategy) exhausted(failures int64) bool {
	return !s.Retry && s.Retries >= 0 && failures > int64(s.Retries)
}

// Active returns the strategy that counts after an action: that of installations after
// an installation, else that of upgrades.
func (s Spec) Active(attempted Action) Strategy {
	if attempted == Install {
		return s.Install
	}
	return s.Upgrade
}
