package ocirepository

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/source"
)

// maxAnnotations bounds the annotations of an artifact, which go into the status: as
// many bytes as an object may have of its own.
const maxAnnotations = 256 << 10

// inspect reads the manifest and chooses the layer.
func (r *Reconciler) inspect(ctx context.Context, s *scope) error {
	if s.repo.Status.Artifact == nil && !source.Failing(s.repo) {
		// The first pull of an artifact may take long. While it fails, that is what
		// users have to see.
		source.MarkBuilding(s.repo, sourcev1.ReasonNewRevision, fmt.Sprintf("new revision '%s' for '%s'", s.revision, s.ref))
		if err := r.save(ctx, s.repo); err != nil {
			return fmt.Errorf("saving progress: %w", err)
		}
	}
	ctx, cancel := timeout(ctx, s.repo)
	defer cancel()
	var err error
	s.image, err = s.session.Image(ctx, s.digest)
	switch {
	case errors.Is(err, oci.ErrManifest):
		return unusable(fmt.Errorf("failed to parse artifact manifest: %w", err))
	case err != nil:
		return s.notPulled(err)
	}
	if n := sizeOf(s.image.Annotations); n > maxAnnotations {
		return unusable(fmt.Errorf("failed to parse artifact manifest: its annotations have %d bytes, and the limit is %d", n, maxAnnotations))
	}
	s.layer, err = choose(s.image.Layers, selection(s.repo.Spec.LayerSelector).MediaType)
	if err != nil {
		return unusable(err)
	}
	if s.layer.Size > r.opts.MaxLayer {
		return unusable(fmt.Errorf("the layer has %d bytes, and the limit is %d", s.layer.Size, r.opts.MaxLayer))
	}
	return nil
}

// choose returns the first layer of a media type; the first of all if that is empty.
func choose(layers []v1.Descriptor, mediaType string) (v1.Descriptor, error) {
	if len(layers) == 0 {
		return v1.Descriptor{}, errors.New("no layers found in artifact")
	}
	if mediaType == "" {
		return layers[0], nil
	}
	for _, l := range layers {
		if string(l.MediaType) == mediaType {
			return l, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("failed to find layer with media type '%s' in artifact", mediaType)
}

func sizeOf(annotations map[string]string) (n int) {
	for key, value := range annotations {
		n += len(key) + len(value)
	}
	return n
}

// notPulled says that the registry does not give what is asked for.
func (s *scope) notPulled(err error) error {
	return loop.Fail(sourcev1.ReasonOCIArtifactPullFailed, fmt.Errorf("failed to pull artifact from '%s': %w", s.repo.Spec.URL, err))
}

// unusable says that an artifact is not what the spec makes of it.
func unusable(err error) error {
	return loop.Fail(sourcev1.ReasonOCIArtifactLayerOperationFailed, err)
}
