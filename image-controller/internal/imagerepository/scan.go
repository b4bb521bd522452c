package imagerepository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// maxLatest is how many tags the status shows.
const maxLatest = 10

// logIn opens the session with the registry.
func (r *Reconciler) logIn(ctx context.Context, s *scope) error {
	if s.session != nil {
		return nil
	}
	var err error
	s.session, err = r.registries.Session(ctx, r.secrets.For(s.repo, loop.Awaited(s.repo)), s.repo)
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(imagev1.ReasonFeatureGateDisabled, err)
	case err != nil:
		return loop.Fail(imagev1.ReasonAuthenticationFailed, fmt.Errorf("failed to configure authentication options: %w", err))
	}
	return nil
}

// scan asks the registry for all tags. A registry that wants to be left alone is.
func (r *Reconciler) scan(ctx context.Context, s *scope) error {
	all, err := s.session.Tags(ctx)
	if err != nil {
		return failed(err)
	}
	r.sessions.Store(client.ObjectKeyFromObject(s.repo), s.session)
	s.found = slices.DeleteFunc(all, s.excluded.match)
	return nil
}

func failed(err error) error {
	if after, ok := oci.RetryAfter(err); ok {
		return loop.Wait(imagev1.ReasonReadOperationFailed, after, "scan failed: %w", err)
	}
	return loop.Fail(imagev1.ReasonReadOperationFailed, fmt.Errorf("scan failed: %w", err))
}

// record stores the list, and then tells it. A list that is the same is told again only to
// those who wait for this run.
func (r *Reconciler) record(_ context.Context, s *scope) error {
	list, err := r.lists.Put(client.ObjectKeyFromObject(s.repo), s.repo.Spec.Image, s.found)
	if err != nil {
		return failed(err)
	}
	if !news(s.repo, s.image.String(), list) {
		return nil
	}
	s.repo.Status.CanonicalImageName = s.image.String()
	s.repo.Status.ObservedExclusionList = s.repo.Spec.ExclusionList
	s.repo.Status.LastScanResult = &imagev1.ScanResult{
		Revision: list.Revision, TagCount: len(list.Tags), ScanTime: metav1.NewTime(r.now()),
		LatestTags: slices.Clone(list.Tags[:min(maxLatest, len(list.Tags))]),
	}
	return nil
}

// news reports whether the status has to tell of a list: it differs from what is told, or
// the status will change anyway.
func news(repo *imagev1.ImageRepository, image string, list tags.List) bool {
	last := repo.Status.LastScanResult
	return last == nil || last.Revision != list.Revision || repo.Status.CanonicalImageName != image ||
		!slices.Equal(repo.Status.ObservedExclusionList, repo.Spec.ExclusionList) || loop.Awaited(repo) || !conditions.IsReady(repo)
}
