package action

import (
	"helm.sh/helm/v3/pkg/release"

	"weir.dev/helm-controller/internal/plan"
)

// earlier returns the manifests of the releases that failed since one was deployed, and of
// that one. The SDK compares with one of them only, and would leave for ever what the others
// have made.
func (d *deed) earlier() []string {
	switch d.what {
	case plan.Upgrade, plan.Rollback, plan.Uninstall, plan.UninstallRemediation:
	default:
		return nil
	}
	last, err := d.env.History.Last(d.ctx)
	if err != nil || !failing(last.Info.Status) {
		return nil // there is nothing, or the SDK will say what is wrong
	}
	all, err := d.env.History.All(d.ctx)
	if err != nil {
		d.logs.printf("objects of earlier releases may be left: %s", err)
	}
	var manifests []string
	for _, r := range all {
		manifests = append(manifests, r.Manifest)
		if !failing(r.Info.Status) {
			break
		}
	}
	return manifests
}

// failing reports whether a release of this status may have made some of its objects, and
// has not deleted those of the release before.
func failing(status release.Status) bool { return status == release.StatusFailed || status.IsPending() }
