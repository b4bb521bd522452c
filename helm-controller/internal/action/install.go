package action

import (
	"context"
	"errors"
	"fmt"

	helmaction "helm.sh/helm/v3/pkg/action"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/definitions"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
)

// install makes the first release.
func (d *deed) install() error {
	spec := d.in.HelmRelease.GetInstall()
	cfg := d.configure(d.installMethod(spec), !spec.DisableTakeOwnership)
	if err := d.define(spec.GetCRDs()); err != nil {
		return err
	}
	if err := d.learn(cfg); err != nil {
		return err
	}
	a := helmaction.NewInstall(cfg)
	a.ReleaseName, a.Namespace = d.in.Release.Name, d.in.Release.Namespace
	a.CreateNamespace = spec.CreateNamespace && d.in.HelmRelease.Spec.TargetNamespace != ""
	a.Replace = spec.Replace
	a.Timeout = Timeout(d.in.HelmRelease, d.what)
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.DisableHooks = spec.DisableHooks
	a.DisableOpenAPIValidation, a.SkipSchemaValidation = spec.DisableOpenAPIValidation, spec.DisableSchemaValidation
	a.TakeOwnership = !spec.DisableTakeOwnership
	a.SkipCRDs = true
	a.Devel = true
	a.EnableDNS = d.env.DNS
	a.PostRenderer = d.in.Overlay.Manifests()
	_, err := a.RunWithContext(context.Background(), d.in.Chart(), d.values()) // ends with the client; see configure
	return err
}

// strict reports whether fields that kinds do not have are refused in the objects of a chart.
// Those of a release that is brought back were accepted before.
func (d *deed) strict() bool {
	switch hr := d.in.HelmRelease; d.what {
	case plan.Install:
		return !hr.GetInstall().DisableOpenAPIValidation
	case plan.Upgrade:
		return !hr.GetUpgrade().DisableOpenAPIValidation
	default:
		return false
	}
}

// installMethod returns how the objects of a new release are applied.
func (d *deed) installMethod(spec helmv2.Install) releases.Method {
	if spec.GetServerSideApply(!d.env.Defaults.ClientSide) {
		return releases.ServerSide
	}
	return releases.ClientSide
}

// upgrade makes the next release.
func (d *deed) upgrade() error {
	spec := d.in.HelmRelease.GetUpgrade()
	method, err := d.nextMethod(spec.GetServerSideApply())
	if err != nil {
		return err
	}
	cfg := d.configure(method, !spec.DisableTakeOwnership)
	if err := d.define(spec.GetCRDs()); err != nil {
		return err
	}
	if err := d.learn(cfg); err != nil {
		return err
	}
	a := helmaction.NewUpgrade(cfg)
	a.Namespace = d.in.Release.Namespace
	a.Timeout = Timeout(d.in.HelmRelease, d.what)
	a.MaxHistory = d.in.HelmRelease.GetMaxHistory()
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.DisableHooks = spec.DisableHooks
	a.DisableOpenAPIValidation, a.SkipSchemaValidation = spec.DisableOpenAPIValidation, spec.DisableSchemaValidation
	a.TakeOwnership = !spec.DisableTakeOwnership
	a.ResetValues, a.ReuseValues = !spec.PreserveValues, spec.PreserveValues
	a.Force = spec.Force && method == releases.ClientSide
	a.CleanupOnFail = spec.CleanupOnFail
	a.SkipCRDs = true
	a.Devel = true
	a.EnableDNS = d.env.DNS
	a.PostRenderer = d.in.Overlay.Manifests()
	_, err = a.RunWithContext(context.Background(), d.in.Release.Name, d.in.Chart(), d.values()) // ends with the client; see configure
	return err
}

// nextMethod returns how the objects of the next release are applied.
func (d *deed) nextMethod(mode helmv2.ServerSideApplyMode) (releases.Method, error) {
	switch mode {
	case helmv2.ServerSideApplyEnabled:
		return releases.ServerSide, nil
	case helmv2.ServerSideApplyDisabled:
		return releases.ClientSide, nil
	}
	last, err := d.env.History.Last(d.ctx)
	switch {
	case errors.Is(err, releases.ErrNotFound):
		return releases.ServerSide, nil // the SDK will say that there is nothing to go on from
	case err != nil:
		return "", err
	case last.Method == releases.ServerSide:
		return releases.ServerSide, nil
	default:
		return releases.ClientSide, nil
	}
}

// define brings the definitions of the chart into the cluster. Those of subcharts that the
// values turn off are none of its.
func (d *deed) define(policy helmv2.CRDsPolicy) error {
	defined, err := definitions.Of(d.in.Chart(), d.values())
	if err != nil {
		return err
	}
	for _, warning := range defined.Warnings {
		d.logs.printf("warning: %s", warning)
	}
	d.defined = defined.Inventory
	if policy == helmv2.Skip {
		return nil
	}
	changes, err := defined.Apply(d.ctx, d.env.At, client.ObjectKeyFromObject(d.in.HelmRelease), policy)
	d.result.Changes = append(d.result.Changes, changes...)
	if err != nil {
		return fmt.Errorf("applying the definitions of the chart: %w", err)
	}
	return nil
}

// learn finds out what the cluster can do, for templates.
func (d *deed) learn(cfg *helmaction.Configuration) error {
	capabilities, err := cluster.Capabilities(d.ctx, d.env.At)
	if err != nil {
		return fmt.Errorf("asking the cluster what it serves: %w", err)
	}
	cfg.Capabilities = capabilities
	return nil
}

// values returns a copy of the values, which the SDK may change.
func (d *deed) values() map[string]any { return copyOf(d.in.Values).(map[string]any) }

// copyOf returns a deep copy of values.
func copyOf(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for key, element := range v {
			c[key] = copyOf(element)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, element := range v {
			c[i] = copyOf(element)
		}
		return c
	default:
		return v
	}
}
