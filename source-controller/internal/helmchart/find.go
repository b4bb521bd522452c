package helmchart

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// linkName is the name under which the latest chart can be had.
const linkName = "latest.tar.gz"

// findSource reads the source, which must have an artifact unless it is a registry.
func (r *Reconciler) findSource(ctx context.Context, s *scope) error {
	ref := s.obj.Spec.SourceRef
	switch ref.Kind {
	case sourcev1.HelmRepositoryKind:
		s.source = &sourcev1.HelmRepository{}
	case sourcev1.GitRepositoryKind:
		s.source = &sourcev1.GitRepository{}
	case sourcev1.BucketKind:
		s.source = &sourcev1.Bucket{}
	default:
		return loop.Stall(sourcev1.ReasonUnsupportedSourceKind, fmt.Errorf("failed to get source: unsupported source kind '%s'", ref.Kind))
	}
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: ref.Name}, s.source); err != nil {
		return loop.Fail(sourcev1.ReasonSourceUnavailable, fmt.Errorf("failed to get source: %w", err))
	}
	if s.source.GetArtifact() == nil && !isOCI(s.source) {
		return r.noArtifact(ref)
	}
	return nil
}

// noArtifact says that the source has to publish something first.
func (r *Reconciler) noArtifact(ref sourcev1.LocalHelmChartSourceReference) error {
	return loop.Wait(sourcev1.ReasonNoSourceArtifact, r.opts.Requeue, "no artifact available for %s source '%s'", ref.Kind, ref.Name)
}

// open opens the artifact of a source.
func (r *Reconciler) open(src source.Object) (io.ReadCloser, error) {
	f, err := r.sources[kindOf(src)].Open(src)
	if errors.Is(err, store.ErrNotFound) {
		// It was lost, and the source will make it anew.
		return nil, r.noArtifact(sourcev1.LocalHelmChartSourceReference{Kind: kindOf(src), Name: src.GetName()})
	}
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonReadOperationFailed, fmt.Errorf("opening the artifact of the source: %w", err))
	}
	return f, nil
}

// stopIfNothingNew ends the run if the last one ended well with this spec and this
// revision of the source.
func (r *Reconciler) stopIfNothingNew(_ context.Context, s *scope) error {
	if !settled(s.obj, s.source) {
		return nil
	}
	if err := r.link(s); err != nil {
		return err
	}
	return loop.Done()
}

// settled is the decision of stopIfNothingNew.
func settled(obj *sourcev1.HelmChart, src source.Object) bool {
	a := src.GetArtifact()
	return a != nil && !isOCI(src) && obj.Status.Artifact != nil &&
		obj.Status.ObservedSourceArtifactRevision == a.Revision && carriedOut(obj)
}

// carriedOut reports whether the last run carried out the present spec.
func carriedOut(obj *sourcev1.HelmChart) bool {
	c := conditions.Get(obj, sourcev1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.Generation && obj.Status.ObservedGeneration == obj.Generation
}

// link lets the constant name lead to what is advertised.
func (r *Reconciler) link(s *scope) error {
	u, err := r.shelf.Link(s.obj, linkName)
	if err != nil {
		return err
	}
	s.obj.Status.URL = u
	return nil
}
