package kustomization

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// metaOrigin is the metadata of an artifact that tells what it was made of.
const metaOrigin = "org.opencontainers.image.revision"

// artifactSource is a source of any kind.
type artifactSource interface {
	client.Object
	GetArtifact() *meta.Artifact
}

// newSource returns an empty source of a kind, nil if there is no such kind.
func newSource(kind string) artifactSource {
	switch kind {
	case sourcev1.GitRepositoryKind:
		return &sourcev1.GitRepository{}
	case sourcev1.OCIRepositoryKind:
		return &sourcev1.OCIRepository{}
	case sourcev1.BucketKind:
		return &sourcev1.Bucket{}
	case sourcev1.ExternalArtifactKind:
		return &sourcev1.ExternalArtifact{}
	default:
		return nil
	}
}

// kindOf returns the kind of a source, whose own kind is empty when it comes from a
// cache.
func kindOf(source client.Object) string {
	switch source.(type) {
	case *sourcev1.GitRepository:
		return sourcev1.GitRepositoryKind
	case *sourcev1.OCIRepository:
		return sourcev1.OCIRepositoryKind
	case *sourcev1.Bucket:
		return sourcev1.BucketKind
	case *sourcev1.ExternalArtifact:
		return sourcev1.ExternalArtifactKind
	default:
		return ""
	}
}

// watched are the kinds of sources that a Kustomization may have.
func (o Options) watched() []client.Object {
	kinds := []client.Object{&sourcev1.GitRepository{}, &sourcev1.OCIRepository{}, &sourcev1.Bucket{}}
	if o.ExternalArtifacts {
		kinds = append(kinds, &sourcev1.ExternalArtifact{})
	}
	return kinds
}

// refuseSource stalls an object whose source it must not have.
func (r *Reconciler) refuseSource(_ context.Context, s *scope) error {
	ref := s.ks.Spec.SourceRef
	switch {
	case newSource(ref.Kind) == nil:
		return loop.Stall(kustomizev1.ReasonArtifactFailed, fmt.Errorf("spec.sourceRef.kind %q is no kind of source for a Kustomization", ref.Kind))
	case ref.Kind == sourcev1.ExternalArtifactKind && !r.opts.ExternalArtifacts:
		return loop.Stall(meta.FeatureGateDisabledReason, errors.New("the feature gate ExternalArtifact is off in the controller: start it with --feature-gates=ExternalArtifact=true, or use another source"))
	case r.opts.SameNamespaceOnly && ref.Namespace != "" && ref.Namespace != s.ks.Namespace:
		return loop.Stall(kustomizev1.ReasonAccessDenied, fmt.Errorf("can't access '%s/%s/%s', cross-namespace references have been blocked", ref.Kind, ref.Namespace, ref.Name))
	}
	return nil
}

// sources is what sources are read by.
func (r *Reconciler) sources() client.Reader {
	if r.opts.DirectSources {
		return r.live
	}
	return r.client
}

// findSource reads the source, which must have an artifact.
func (r *Reconciler) findSource(ctx context.Context, s *scope) error {
	key, kind := sourceKey(s.ks), s.ks.Spec.SourceRef.Kind
	found := newSource(kind)
	err := r.sources().Get(ctx, key, found)
	switch {
	case apierrors.IsNotFound(err):
		return loop.Wait(kustomizev1.ReasonArtifactFailed, s.ks.GetRetryInterval(), "%s '%s' not found", kind, key)
	case err != nil:
		return loop.Fail(kustomizev1.ReasonArtifactFailed, fmt.Errorf("reading source '%s': %w", key, err))
	case found.GetArtifact() == nil:
		return loop.Wait(kustomizev1.ReasonArtifactFailed, r.opts.RequeueDependency, "Source is not ready, artifact not found, retrying in %s", r.opts.RequeueDependency)
	}
	s.artifact = found.GetArtifact()
	s.memory.origin = s.origin()
	s.time()
	return nil
}
