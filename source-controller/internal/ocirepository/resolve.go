package ocirepository

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/source"
)

const (
	// defaultTag is followed where the spec has no reference.
	defaultTag = "latest"
	// chartLayer is the media type of the layer of a Helm chart, whose tags have an
	// underscore for the plus of a version.
	chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// resolve asks the registry which digest is meant. One that the spec names, and that is
// published already, cannot mean another, so nobody is asked.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	ctx, cancel := timeout(ctx, s.repo)
	defer cancel()
	if ref := s.repo.Spec.Reference; ref != nil && ref.Digest != "" {
		return r.resolveDigest(ctx, s, ref.Digest)
	}
	tag, err := r.tag(ctx, s)
	if err != nil {
		return s.noTag(err)
	}
	desc, err := s.session.Resolve(ctx, tag)
	if err != nil {
		return loop.Fail(sourcev1.ReasonOCIArtifactPullFailed, fmt.Errorf("failed to determine artifact digest: %w", err))
	}
	s.follow(s.session.Repository().String()+":"+tag, tag+"@"+desc.Digest.String(), desc.Digest)
	return nil
}

func (r *Reconciler) resolveDigest(ctx context.Context, s *scope, text string) error {
	digest, err := oci.ParseDigest(text)
	if err != nil {
		return s.noTag(err)
	}
	if !advertises(s.repo, digest.String()) {
		if _, err := s.session.Resolve(ctx, digest.String()); err != nil {
			return loop.Fail(sourcev1.ReasonOCIArtifactPullFailed, fmt.Errorf("failed to determine artifact digest: %w", err))
		}
	}
	s.follow(s.session.Repository().String()+"@"+digest.String(), digest.String(), digest)
	return nil
}

// follow notes what the reference has led to.
func (s *scope) follow(ref, revision string, digest v1.Hash) {
	s.ref, s.revision, s.digest = ref, revision, digest
}

// noTag says why there is nothing to follow.
func (s *scope) noTag(err error) error {
	wrapped := fmt.Errorf("failed to determine the artifact tag for '%s': %w", s.repo.Spec.URL, err)
	if errors.Is(err, oci.ErrInvalidReference) {
		return loop.Stall(sourcev1.ReasonReadOperationFailed, wrapped)
	}
	return loop.Fail(sourcev1.ReasonReadOperationFailed, wrapped)
}

// tag returns the tag to follow.
func (r *Reconciler) tag(ctx context.Context, s *scope) (string, error) {
	ref := s.repo.Spec.Reference
	switch {
	case ref == nil || ref.SemVer == "" && ref.Tag == "":
		return defaultTag, nil
	case ref.SemVer == "":
		return ref.Tag, oci.CheckTag(ref.Tag)
	}
	latest := oci.Latest
	if selector := s.repo.Spec.LayerSelector; selector != nil && selector.MediaType == chartLayer {
		latest = oci.LatestChart
	}
	// What cannot be a range or a filter is found out without the registry.
	if _, err := latest(nil, ref.SemVer, ref.SemverFilter); errors.Is(err, oci.ErrInvalidReference) {
		return "", err
	}
	tags, err := s.session.Tags(ctx)
	if err != nil {
		return "", err
	}
	return latest(tags, ref.SemVer, ref.SemverFilter)
}

// stopIfPublished ends the run if what is meant is what is advertised.
func (r *Reconciler) stopIfPublished(ctx context.Context, s *scope) error {
	if !published(s.repo, s.revision) {
		return nil
	}
	if err := r.link(ctx, s); err != nil {
		return err
	}
	return loop.Done()
}

// published reports whether the artifact of the status is what the spec would make of a
// revision.
func published(repo *sourcev1.OCIRepository, revision string) bool {
	return advertises(repo, revision) && equal(repo.Spec.Ignore, repo.Status.ObservedIgnore) &&
		selection(repo.Spec.LayerSelector) == selection(repo.Status.ObservedLayerSelector)
}

// advertises reports whether the artifact of the status is of a revision.
func advertises(repo *sourcev1.OCIRepository, revision string) bool {
	a := repo.Status.Artifact
	return a != nil && artifact.SameRevision(a.Revision, revision)
}

// selection is a layer selector with its defaults.
func selection(selector *sourcev1.OCILayerSelector) sourcev1.OCILayerSelector {
	chosen := sourcev1.OCILayerSelector{Operation: sourcev1.OCILayerExtract}
	if selector != nil {
		chosen.MediaType = selector.MediaType
		if selector.Operation != "" {
			chosen.Operation = selector.Operation
		}
	}
	return chosen
}

// timeout bounds one exchange with the registry.
func timeout(ctx context.Context, repo *sourcev1.OCIRepository) (context.Context, context.CancelFunc) {
	d := repo.GetTimeout()
	return source.Within(ctx, d)
}

func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
