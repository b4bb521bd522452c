package observe

import (
	"context"
	"errors"
	"strings"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
)

// rollbackDescription begins what Helm says of a release that another was rolled back to.
const rollbackDescription = "Rollback "

// isRollback reports whether a release says that it brings back an earlier one.
func isRollback(r *releases.Release) bool {
	return r.Info.Status == state.StatusPendingRollback || strings.HasPrefix(r.Info.Description, rollbackDescription)
}

// broughtBack has the facts know what the newest release is made of, if the history does not
// have it and it is a rollback. The history knows releases by the values that were asked for;
// where the values of the release before are preserved, they have more.
func broughtBack(ctx context.Context, in Input, newest *stored, f state.Facts) error {
	if newest == nil || !newest.rollback || f.Recorded == nil || f.Recorded.Fits || !in.HelmRelease.GetUpgrade().PreserveValues {
		return nil
	}
	for _, s := range in.HelmRelease.Status.History {
		if s.ChartName != newest.content.ChartName || s.ChartVersion != newest.content.ChartVersion {
			continue
		}
		same, err := hasValuesOf(ctx, in, newest, s)
		if err != nil {
			return err
		}
		if same {
			f.Stored.ConfigDigest = s.ConfigDigest
			return nil
		}
	}
	return nil
}

// hasValuesOf reports whether a release has the values of an earlier one as that is stored.
func hasValuesOf(ctx context.Context, in Input, newest *stored, s *helmv2.Snapshot) (bool, error) {
	r, err := in.History.Get(ctx, s.Version)
	switch {
	case errors.Is(err, releases.ErrNotFound), errors.Is(err, releases.ErrCorrupt), errors.Is(err, releases.ErrChanged):
		return false, nil
	case err != nil:
		return false, err
	}
	return configDigest(r) == newest.content.ConfigDigest, nil
}
