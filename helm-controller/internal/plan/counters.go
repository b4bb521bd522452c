package plan

// Counters are how often something failed since the spec, the chart or the values changed.
type Counters struct {
	// All counts every failed action.
	All int64
	// Installs and Upgrades count failures that use up a retry.
	Installs, Upgrades int64
}

// Outcome is how an action ended.
type Outcome struct {
	Action Action
	Failed bool
	// Wrote says that something was written to the storage of releases. What fails before
	// that, such as a template, has changed nothing and uses up no retry.
	Wrote bool
	// Cut says that it was ended from outside, by the end of the process or by something
	// newer: that is no failure of the release, and it is tried again.
	Cut bool
}

// After returns the counters after an action. Attempted is the last of Install and
// Upgrade, this one included.
func (c Counters) After(o Outcome, attempted Action, spec Spec) Counters {
	if !o.Failed || !o.Wrote || o.Cut {
		return c
	}
	c.All++
	switch {
	case o.Action == Test && spec.Active(attempted).IgnoreTests:
	case o.Action == Install, o.Action == Test && attempted == Install:
		c.Installs++
	case o.Action == Upgrade, o.Action == Test:
		c.Upgrades++
	}
	return c
}

// failures returns the failures that count against the strategy that is active.
func (c Counters) failures(attempted Action) int64 {
	if attempted == Install {
		return c.Installs
	}
	return c.Upgrades
}

// Attempt is what is, or was, attempted.
type Attempt struct {
	Generation   int64
	ChartVersion string
	ConfigDigest string
}

// Resets reports whether the failures of an earlier attempt count no more, and why: what
// is attempted now is something else, or the user asks for it.
func Resets(last, now Attempt, asked bool) (why string, resets bool) {
	switch {
	case last.Generation != now.Generation:
		return "the spec has changed", true
	case last.ChartVersion != now.ChartVersion:
		return "the version of the chart has changed", true
	case last.ConfigDigest != now.ConfigDigest:
		return "the values have changed", true
	case asked:
		return "it was asked for", true
	default:
		return "", false
	}
}
