package action

import (
	"errors"
	"fmt"
	"strings"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"

	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/inventory"
)

// rollback makes a release of what the target was.
func (d *deed) rollback() error {
	if d.in.Target == nil {
		return errors.New("there is no release to go back to")
	}
	spec := d.in.HelmRelease.GetRollback()
	method, err := d.nextMethod(spec.GetServerSideApply())
	if err != nil {
		return err
	}
	if target, err := d.env.History.Get(d.ctx, d.in.Target.Version); err == nil { // else the SDK will say what is wrong
		d.hide(target.Config)
	}
	cfg := d.configure(method, true)
	a := helmaction.NewRollback(cfg)
	a.Version = d.in.Target.Version
	a.Timeout = Timeout(d.in.HelmRelease, d.what)
	a.MaxHistory = d.in.HelmRelease.GetMaxHistory()
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.DisableHooks = spec.DisableHooks
	a.Force = spec.Force && method == releases.ClientSide
	a.CleanupOnFail = spec.CleanupOnFail
	return a.Run(d.in.Release.Name)
}

// uninstall takes the release away.
func (d *deed) uninstall() error {
	spec := d.in.HelmRelease.GetUninstall()
	last, err := d.env.History.Last(d.ctx)
	switch {
	case errors.Is(err, releases.ErrNotFound):
		return d.absent()
	case err != nil && !errors.Is(err, releases.ErrCorrupt):
		return err // the SDK will say what is wrong with a Secret that cannot be read
	case err == nil && last.Info.Status == release.StatusUninstalled && spec.KeepHistory:
		return d.absent()
	case err == nil:
		d.hide(last.Config)
	}
	cfg := d.configure(releases.ServerSide, true)
	d.client.earlier = d.earlier()
	a := helmaction.NewUninstall(cfg)
	a.Timeout = Timeout(d.in.HelmRelease, d.what)
	a.Wait = !spec.DisableWait
	a.DisableHooks = spec.DisableHooks
	a.KeepHistory = spec.KeepHistory
	a.DeletionPropagation = spec.GetDeletionPropagation()
	res, err := a.Run(d.in.Release.Name)
	if res != nil && res.Release != nil {
		d.uninstalled(res.Release)
	}
	if err == nil {
		d.sweep(last)
		d.result.Inventory = inventory.Set{}
		return nil
	}
	if why := errors.Join(d.client.deletions...); why != nil && !strings.Contains(err.Error(), why.Error()) {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// absent tells that there is nothing to uninstall.
func (d *deed) absent() error {
	d.result.Absent, d.result.Inventory = true, inventory.Set{}
	return nil
}

// uninstalled remembers that a release has ended, which is not stored unless the history is
// kept.
func (d *deed) uninstalled(rel *release.Release) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stored := d.written[rel.Version]
	if rel.Info.Status == release.StatusUninstalled && (stored == nil || stored.Info.Status != rel.Info.Status) {
		d.written[rel.Version] = &releases.Release{Release: rel}
	}
}

// unlock has a release that was left in between count as failed. What the history does not
// have was not made by us, and does not get into it that way.
func (d *deed) unlock() error {
	last, err := d.env.History.Last(d.ctx)
	if err != nil {
		return err
	}
	unlocked, err := d.env.History.Unlock(d.ctx, last)
	switch {
	case errors.Is(err, releases.ErrNotLocked):
		return nil // it was ended meanwhile
	case err != nil:
		return err
	}
	d.result.Wrote = true
	d.logs.printf("unlocked %s.v%d, which was left as '%s'", last.Name, last.Version, last.Info.Status)
	if d.known(unlocked.Version) != nil {
		d.wrote(unlocked)
	}
	return nil
}

// correct restores objects that were changed by others.
func (d *deed) correct() error {
	if d.in.Drift == nil {
		return nil
	}
	changes, err := d.in.Drift.Restore(d.ctx, d.env.At)
	d.result.Changes = append(d.result.Changes, changes...)
	return err
}
