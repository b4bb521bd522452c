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
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/loop"
)

// readVariables collects what postBuild puts into the objects.
func (r *Reconciler) readVariables(ctx context.Context, s *scope) error {
	var err error
	if s.variables, err = buildspec.Variables(ctx, r.configs(s.ks), s.ks); err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	return nil
}

// build makes the objects, or takes those of an earlier run if nothing that they
// were made of has changed.
func (r *Reconciler) build(ctx context.Context, s *scope) error {
	spec := buildspec.Of(s.ks)
	spec.Substitute = buildspec.Substitution(s.ks, s.variables, !r.opts.EmptyVariables)
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

// digestOf digests what decides a build apart from the source.
func digestOf(spec build.Spec, keys string) (string, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("encoding the spec: %w", err)
	}
	sum := sha256.Sum256(append(data, keys...))
	return hex.EncodeToString(sum[:]), nil
}
