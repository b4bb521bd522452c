package action

import (
	"errors"
	"slices"

	"helm.sh/helm/v3/pkg/release"

	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
)

const (
	// maxEarlier bounds how many releases are looked at that failed since one was deployed.
	maxEarlier = 100
	// maxManifests bounds what they have made, together.
	maxManifests = 16 << 20
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
	var manifests []string
	looked, size := 0, 0
	for r, err := range d.env.History.Each(d.ctx) {
		looked++
		switch {
		case looked == 1 && (err != nil || !failing(r.Info.Status)):
			return nil // there is nothing, or the SDK knows of it, or will say what is wrong
		case errors.Is(err, releases.ErrCorrupt):
			d.logs.printf("objects of an earlier release may be left: %s", err)
			continue
		case err != nil:
			d.logs.printf("objects of earlier releases may be left: %s", err)
			return manifests
		}
		if !slices.Contains(manifests, r.Manifest) { // most are made of the same again
			manifests, size = append(manifests, r.Manifest), size+len(r.Manifest)
		}
		switch {
		case !failing(r.Info.Status):
			return manifests
		case looked == maxEarlier || size > maxManifests:
			d.logs.printf("objects of releases before %s.v%d may be left: too many failed since", r.Name, r.Version)
			return manifests
		}
	}
	return manifests
}

// failing reports whether a release of this status may have made some of its objects, and
// has not deleted those of the release before. Of one whose uninstallation was cut off, nobody
// knows.
func failing(status release.Status) bool {
	return status == release.StatusFailed || status == release.StatusUninstalling || status.IsPending()
}
