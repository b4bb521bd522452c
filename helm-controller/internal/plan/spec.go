package plan

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
