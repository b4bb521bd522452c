// Package action does one thing about a release, by the Helm SDK: it installs, upgrades,
// tests, rolls back, uninstalls, unlocks it, or restores its objects. What is to be done is
// decided by package plan.
//
// An action ends when its context does: the client through which the SDK works refuses to
// go on then, while what has become of the release is still stored. Its timeout is, as in
// Helm, that of each hook and each wait. A release that the SDK leaves in between is stored as
// failed. A panic in a template, or anywhere else where the SDK can be guarded, is an error.
//
// Errors of templates name the template and the line. What values from Secrets hold is
// masked in errors and in logs.
package action

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/overlay"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/tenant"
)

// Env is where an action works, and how.
type Env struct {
	// At is where the objects of the release are, and its storage.
	At *tenant.Place
	// History is the storage of the release.
	History *releases.History
	// Lend is called around every wait; may be nil.
	Lend func() (back func())
	// Waits tells of changes to what is waited for; may be nil. See cluster.Options.
	Waits *cluster.Waits
	// Newer is closed when something newer is asked for, which ends waits for the health of
	// objects; nil means never.
	Newer <-chan struct{}
	// Checks judge the health of objects as the spec says.
	Checks health.Rules
	// Digest is the algorithm of the digests of snapshots.
	Digest digest.Algorithm
	// DNS lets templates look up names.
	DNS bool
	// Defaults are what specs that say nothing mean.
	Defaults Defaults
}

// Defaults are what a spec means that says nothing.
type Defaults struct {
	// ClientSide: a chart is installed by client-side apply.
	ClientSide bool
	// Wait is how to tell that objects are ready.
	Wait helmv2.WaitStrategyName
}

// Input is what an action is about.
type Input struct {
	// HelmRelease has the spec, and the history so far. It is not changed.
	HelmRelease *helmv2.HelmRelease
	// Release is the name and the namespace of the release.
	Release types.NamespacedName
	// Chart returns a copy of the chart that the SDK may change, with the version that it
	// is to be stored as. It is asked by Install and Upgrade only.
	Chart func() *chart.Chart
	// Values are those for the chart. They are not changed.
	Values map[string]any
	// Sensitive are values that come from Secrets, which are not to be shown.
	Sensitive []string
	// Overlay is laid over what the chart renders.
	Overlay *overlay.Overlay
	// OCIDigest is the digest of the OCI artifact of the chart, if it comes from one.
	OCIDigest string
	// Target is what Rollback goes back to.
	Target *helmv2.Snapshot
	// Drift is what Correct restores.
	Drift *observe.Drift
}

// ErrStopping is the cause of the end of the context of an action when the process stops.
var ErrStopping = errors.New("the controller is stopping")

// Result is what came of an action.
type Result struct {
	Action plan.Action
	Err    error // nil if it succeeded
	// Wrote says that something was written to the storage of releases.
	Wrote bool
	// Snapshots are of what was written there, as it was left, the oldest release first.
	// See state.Record.
	Snapshots []*helmv2.Snapshot
	// Absent says that there was nothing to uninstall.
	Absent bool
	// Tests is how many tests the release has, after Test.
	Tests int
	// Changes are what has become of objects, in order.
	Changes []apply.Change
	// Inventory has the objects of the newest release and the definitions of its chart; nil
	// if that is as before, and empty after an uninstallation.
	Inventory inventory.Set
	// Unlisted is why that could not be found out, unmasked; nil if it could.
	Unlisted error
	// Left is why objects that have left the release may be left in the cluster, unmasked;
	// nil if none are. Inventory has them.
	Left error
	// Unserved are the kinds in Inventory that the cluster does not serve.
	Unserved []string
	// Mask hides in a text what values from Secrets hold.
	Mask func(string) string
	// Logs are the last lines of the SDK's log, each with its time.
	Logs []string
	// Took is how long it took.
	Took time.Duration
}

// Run does what is said about a release.
func Run(ctx context.Context, env Env, what plan.Action, in Input) Result {
	begun := time.Now()
	d := begin(ctx, env, what, in)
	defer d.end()
	d.result.Err = d.masked(d.do())
	if err := d.conclude(); err != nil {
		d.result.Err = errors.Join(d.result.Err, d.masked(err))
	}
	d.result.Took = time.Since(begun)
	return d.result
}

// Timeout returns how long an action may take.
func Timeout(hr *helmv2.HelmRelease, what plan.Action) time.Duration {
	switch general := hr.GetTimeout(); what {
	case plan.Install:
		return hr.GetInstall().GetTimeout(general)
	case plan.Upgrade:
		return hr.GetUpgrade().GetTimeout(general)
	case plan.Test:
		return hr.GetTest().GetTimeout(general)
	case plan.Rollback:
		return hr.GetRollback().GetTimeout(general)
	case plan.Uninstall, plan.UninstallRemediation:
		return hr.GetUninstall().GetTimeout(general)
	default:
		return general
	}
}
