package releases

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/values"
)

// ErrDiffers is given to a release that is not what a snapshot is of.
var ErrDiffers = errors.New("stored release is not the one that was observed")

// Snapshot returns what status.history has of a release: ociDigest is that of the
// artifact of its chart, if that is one. What made the release is left to the caller to
// tell; so is that tests were run, where the release has none.
func (r *Release) Snapshot(algo digest.Algorithm, ociDigest string) *helmv2.Snapshot {
	s := &helmv2.Snapshot{
		APIVersion: helmv2.SnapshotAPIVersion,
		Digest:     observe(r.Release, ociDigest).digest(algo, nil),
		Name:       r.Name, Namespace: r.Namespace, Version: r.Version,
		Status:    r.Info.Status.String(),
		ChartName: r.Chart.Metadata.Name, ChartVersion: r.Chart.Metadata.Version, AppVersion: r.Chart.Metadata.AppVersion,
		ConfigDigest:  values.Digest(digest.Canonical, r.Config),
		FirstDeployed: metav1.NewTime(r.Info.FirstDeployed.Time),
		LastDeployed:  metav1.NewTime(r.Info.LastDeployed.Time),
		Deleted:       metav1.NewTime(r.Info.Deleted.Time),
		OCIDigest:     ociDigest,
	}
	if tests := r.Tests(); r.ran() {
		s.TestHooks = &tests
	}
	return s
}

// Testing reports whether a test of the release has begun, and it is not stored how it ended.
func (r *Release) Testing() bool {
	return slices.ContainsFunc(r.Hooks, func(h *release.Hook) bool {
		under := h.LastRun.Phase == release.HookPhaseRunning || h.LastRun.Phase == release.HookPhaseUnknown
		return isTest(h) && under && !h.LastRun.StartedAt.IsZero()
	})
}

// ran reports whether the tests of the release have run. A hook that is also something else has
// run because of that.
func (r *Release) ran() bool {
	return !r.Testing() && slices.ContainsFunc(r.Hooks, func(h *release.Hook) bool {
		for _, e := range h.Events {
			if e != release.HookTest {
				return false
			}
		}
		return !h.LastRun.StartedAt.IsZero() || h.LastRun.Phase != ""
	})
}

// Tests returns how the tests of a release went, by name. Those that have not run yet are
// among them.
func (r *Release) Tests() map[string]*helmv2.TestHookStatus {
	tests := make(map[string]*helmv2.TestHookStatus)
	for _, h := range r.Hooks {
		if isTest(h) {
			tests[h.Name] = &helmv2.TestHookStatus{
				LastStarted:   metav1.NewTime(h.LastRun.StartedAt.Time),
				LastCompleted: metav1.NewTime(h.LastRun.CompletedAt.Time),
				Phase:         h.LastRun.Phase.String(),
			}
		}
	}
	return tests
}

// Verify returns an error that is ErrDiffers unless s is a snapshot of the release as it
// is now. Of a snapshot whose digest was made in another way, only the version counts.
func (r *Release) Verify(s *helmv2.Snapshot) error {
	if s.Name != r.Name || s.Namespace != r.Namespace || s.Version != r.Version {
		return fmt.Errorf("%w: it is %s/%s.v%d, and %s was", ErrDiffers, r.Namespace, r.Name, r.Version, s.FullReleaseName())
	}
	if s.APIVersion != helmv2.SnapshotAPIVersion {
		return nil
	}
	want, err := digest.Parse(s.Digest)
	if err != nil {
		return fmt.Errorf("%w: the digest of %s is of no use: %w", ErrDiffers, s.FullReleaseName(), err)
	}
	o := observe(r.Release, s.OCIDigest)
	if o.digest(want.Algorithm(), nil) == s.Digest {
		return nil
	}
	// A later Helm may know of parts that we do not.
	if e := r.extra(); e != nil && o.digest(want.Algorithm(), e) == s.Digest {
		return nil
	}
	return fmt.Errorf("%w: %s was changed", ErrDiffers, s.FullReleaseName())
}

// extra returns what of the parts that are observed the types lack, nil if that is
// nothing.
func (r *Release) extra() *extra {
	js, err := unpack(r.stored)
	if err != nil {
		return nil
	}
	e, err := extraOf(js, reflect.TypeFor[wire]())
	if err != nil {
		return nil
	}
	return observed(e)
}
