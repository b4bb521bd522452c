package kustomization

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/build"
	"weir.dev/pkg/loop"
)

// build makes the objects, or takes those of an earlier run if nothing that they
// were made of has changed.
func (r *Reconciler) build(ctx context.Context, s *scope) error {
	spec := specOf(s.ks)
	spec.Substitute = r.substitution(s)
	digest, err := digestOf(spec, s.keys)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	m, artifact := s.memory, s.artifact
	took := s.time()
	took.turn()
	defer spend(&took.building, time.Now())
	again := m.spec != digest || errors.Is(m.err, build.ErrDecrypt) // which may pass now
	if again || m.artifact != artifact.Digest {
		if s.tree, err = r.artifacts.Get(ctx, artifact.URL, artifact.Digest); err != nil {
			return r.fetchFailed(err)
		}
		if again || !m.result.Reads.Unchanged(s.tree) {
			m.built(r.run(s.tree, spec, s.decrypter))
		}
		m.spec, m.artifact = digest, artifact.Digest
	}
	if errors.Is(m.err, build.ErrPath) {
		return loop.Fail(kustomizev1.ReasonArtifactFailed, m.err)
	}
	s.ks.Status.LastAttemptedRevision = artifact.Revision
	if errors.Is(m.err, build.ErrEncrypted) { // it builds, and must not be applied
		return loop.Fail(kustomizev1.ReasonReconciliationFailed, m.err)
	}
	if m.err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, m.err)
	}
	s.result = m.result
	return nil
}

// fetchFailed tells an artifact that was replaced meanwhile from one that is bad.
func (r *Reconciler) fetchFailed(err error) error {
	if errors.Is(err, fetch.ErrNotFound) {
		return loop.Wait(kustomizev1.ReasonArtifactFailed, r.opts.RequeueDependency, "Source artifact not found, retrying in %s", r.opts.RequeueDependency)
	}
	return loop.Fail(kustomizev1.ReasonArtifactFailed, err)
}

// substitution is what is put into the objects.
func (r *Reconciler) substitution(s *scope) *build.Substitution {
	post := s.ks.Spec.PostBuild
	if post == nil {
		return nil
	}
	return &build.Substitution{
		Vars: s.variables, Always: post.SubstituteStrategy == kustomizev1.SubstituteAlways, Lenient: r.opts.EmptyVariables,
	}
}

// specOf is what of a Kustomization decides its build.
func specOf(ks *kustomizev1.Kustomization) build.Spec {
	spec := build.Spec{
		Path:            ks.Spec.Path,
		TargetNamespace: ks.Spec.TargetNamespace,
		NamePrefix:      ks.Spec.NamePrefix,
		NameSuffix:      ks.Spec.NameSuffix,
		Patches:         ks.Spec.Patches,
		Images:          ks.Spec.Images,
		Components:      ks.Spec.Components,

		IgnoreMissingComponents: ks.Spec.IgnoreMissingComponents,
		OwnerLabels: map[string]string{
			kustomizev1.LabelName:      ks.Name,
			kustomizev1.LabelNamespace: ks.Namespace,
		},
	}
	for _, m := range ks.Spec.BuildMetadata {
		spec.BuildMetadata = append(spec.BuildMetadata, string(m))
	}
	if m := ks.Spec.CommonMetadata; m != nil {
		spec.CommonMetadata = build.Metadata{Labels: m.Labels, Annotations: m.Annotations}
	}
	return spec
}

// digestOf digests what decides a build apart from the source.
func digestOf(spec build.Spec, keys string) (string, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("encoding the spec: %w", err)
	}
	sum := sha256.Sum256(append(data, keys...))
	return hex.EncodeToString(sum[:]), nil
}
