package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/loop"
)

// forgetLostArtifact takes from the status an artifact whose file is gone or was
// altered, so that it is made anew. If consumers reach the files under another
// address now, the status tells it.
func (r *Reconciler) forgetLostArtifact(ctx context.Context, s *scope) error {
	a := s.repo.Status.Artifact
	if a == nil {
		return nil
	}
	path, err := ownPath(s.repo)
	if err == nil {
		err = r.verify(path, a.Digest, a.Size)
	}
	switch {
	case err == nil:
		a.URL = path.URL(r.baseURL)
		return nil
	case errors.Is(err, store.ErrAltered):
		log.FromContext(ctx).Error(err, "artifact verification failed", "path", a.Path)
		if err := r.files.Remove(path); err != nil {
			return loop.Fail(sourcev1.ReasonStatOperationFailed, fmt.Errorf("removing altered artifact: %w", err))
		}
		s.deed.altered = err
	case errors.Is(err, store.ErrNotFound), path.IsZero():
	default:
		return loop.Fail(sourcev1.ReasonStatOperationFailed, fmt.Errorf("verifying artifact: %w", err))
	}
	s.repo.Status.Artifact = nil
	conditions.Delete(s.repo, sourcev1.ConditionArtifactInStorage)
	return nil
}

// ownPath returns the path of the artifact in the status. It must be one of the
// object itself, because files beside it are removed.
func ownPath(repo *sourcev1.GitRepository) (artifact.Path, error) {
	path, err := artifact.ParsePath(repo.Status.Artifact.Path)
	if err != nil {
		return artifact.Path{}, err
	}
	dir, err := artifact.NewDir(sourcev1.GitRepositoryKind, repo.Namespace, repo.Name)
	if err != nil {
		return artifact.Path{}, err
	}
	if path.Dir() != dir {
		return artifact.Path{}, fmt.Errorf("artifact %q is not in %q", path, dir)
	}
	return path, nil
}

// verify checks the file of an artifact against its digest.
func (r *Reconciler) verify(path artifact.Path, digest string, size *int64) error {
	d, err := artifact.ParseDigest(digest)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrAltered, err)
	}
	n := int64(-1)
	if size != nil {
		n = *size
	}
	return r.files.Verify(path, d, n)
}

// collectGarbage removes artifacts that are no longer advertised. What cannot be
// removed now is tried again at the next run.
func (r *Reconciler) collectGarbage(ctx context.Context, s *scope) error {
	a := s.repo.Status.Artifact
	if a == nil {
		return nil
	}
	current, err := ownPath(s.repo)
	if err != nil {
		return loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	n, err := r.files.Collect(ctx, current.Dir(), current, time.Now())
	if err != nil {
		log.FromContext(ctx).Error(err, "collecting garbage")
	}
	if n > 0 {
		log.FromContext(ctx).Info("garbage collected artifacts", "artifacts", n)
	}
	return nil
}
