package helmrelease

import (
	"time"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
)

// Defaults are what specs mean that say nothing. The zero value is what the API documents.
type Defaults struct {
	// ClientSide: charts are installed by client-side apply.
	ClientSide bool
	// PostRender says whether hooks go through post-renderers.
	PostRender helmv2.PostRenderStrategy
	// Wait is how to tell that objects are ready.
	Wait helmv2.WaitStrategyName
	// Strategy is what follows when an install or upgrade fails.
	Strategy helmv2.StrategyName
	// Drift is what is done about drift.
	Drift helmv2.DriftDetectionMode
}

// Helm3 returns the defaults of Helm 3.
func (d Defaults) Helm3() Defaults {
	d.ClientSide, d.PostRender, d.Wait = true, helmv2.PostRenderStrategyNoHooks, helmv2.WaitStrategyLegacy
	return d
}

// documented fills in what the API documents.
func (d Defaults) documented() Defaults {
	if d.PostRender == "" {
		d.PostRender = helmv2.PostRenderStrategyCombined
	}
	if d.Wait == "" {
		d.Wait = helmv2.WaitStrategyPoller
	}
	if d.Strategy == "" {
		d.Strategy = helmv2.StrategyRemediateOnFailure
	}
	if d.Drift == "" {
		d.Drift = helmv2.DriftDetectionDisabled
	}
	return d
}

// action is as much of the defaults as actions take.
func (d Defaults) action() action.Defaults {
	return action.Defaults{ClientSide: d.ClientSide, Wait: d.Wait}
}

// drift returns what a HelmRelease asks for about drift.
func (d Defaults) drift(hr *helmv2.HelmRelease) helmv2.DriftDetection {
	out := hr.GetDriftDetection()
	if hr.Spec.DriftDetection == nil || hr.Spec.DriftDetection.Mode == "" {
		out.Mode = d.Drift
	}
	return out
}

// with returns a copy of a HelmRelease whose spec says what it means. It shares what it
// points to.
func (d Defaults) with(hr *helmv2.HelmRelease) *helmv2.HelmRelease {
	out := *hr
	drift := d.drift(hr)
	out.Spec.DriftDetection = &drift
	return &out
}

// plan returns what decisions take from the spec of a HelmRelease.
func (d Defaults) plan(hr *helmv2.HelmRelease) plan.Spec {
	return plan.Spec{
		Install:  strategy(hr.GetInstall().GetStrategy(d.Strategy), hr.GetRemediation(helmv2.ReleaseActionInstall)),
		Upgrade:  strategy(hr.GetUpgrade().GetStrategy(d.Strategy), hr.GetRemediation(helmv2.ReleaseActionUpgrade)),
		Corrects: d.drift(hr).Mode == helmv2.DriftDetectionEnabled,
	}
}

func strategy(name helmv2.StrategyName, r helmv2.Remediation) plan.Strategy {
	return plan.Strategy{
		Retry: name == helmv2.StrategyRetryOnFailure, Retries: r.Retries, RemediateLast: r.RemediateLastFailure,
		Uninstalls: r.Strategy == helmv2.UninstallRemediationStrategy, IgnoreTests: r.IgnoreTestFailures,
	}
}

// attempted is the last of Install and Upgrade that was attempted.
func attempted(hr *helmv2.HelmRelease) plan.Action {
	switch hr.Status.LastAttemptedReleaseAction {
	case helmv2.ReleaseActionInstall:
		return plan.Install
	case helmv2.ReleaseActionUpgrade:
		return plan.Upgrade
	default:
		return plan.None
	}
}

// retryInterval is the time between two attempts of RetryOnFailure.
func retryInterval(hr *helmv2.HelmRelease) time.Duration {
	if attempted(hr) == plan.Install {
		return hr.GetInstall().GetRetryInterval()
	}
	return hr.GetUpgrade().GetRetryInterval()
}
