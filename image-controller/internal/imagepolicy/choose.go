package imagepolicy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"weak"

	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/policy"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/loop"
)

// verdict is what a policy has selected. The tag follows from the spec and from the list
// alone, so that it holds until one of them is another.
type verdict struct {
	generation int64 // of the spec
	policy     *policy.Policy

	image    string // whose list it was; empty: nothing was selected yet
	revision string // of the list
	tag      string
}

// holds reports whether the tag is that of a list.
func (v verdict) holds(image, revision string) bool {
	return v.image != "" && v.image == image && v.revision == revision
}

// compile reads the policy of the spec, unless that was done.
func (r *Reconciler) compile(_ context.Context, s *scope) error {
	if s.obj.GetDigestReflectionPolicy() == imagev1.ReflectAlways && s.obj.Spec.Interval == nil {
		return loop.Stall(imagev1.ReasonIntervalNotConfigured, errors.New("spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"))
	}
	if v, ok := r.verdicts.Load(s.obj.UID); ok && v.(verdict).generation == s.obj.Generation {
		s.verdict = v.(verdict)
		return nil
	}
	compiled, err := policy.Compile(s.obj.Spec)
	if err != nil {
		return loop.Stall(imagev1.ReasonInvalidPolicy, err)
	}
	s.verdict = verdict{generation: s.obj.Generation, policy: compiled}
	r.verdicts.Store(s.obj.UID, s.verdict)
	return nil
}

// choose selects a tag from the list that the last scan has found. The list is complete,
// or there is none.
func (r *Reconciler) choose(_ context.Context, s *scope) error {
	image := s.repo.Spec.Image
	s.ref = imagev1.ImageRef{Name: image}
	scanned := revision(s.repo)
	if s.verdict.holds(image, scanned) {
		s.ref.Tag = s.verdict.tag
		return nil
	}
	list, ok, err := r.lists.Get(client.ObjectKeyFromObject(s.repo), image)
	switch {
	case err != nil:
		return loop.Fail(imagev1.ReasonFailure, fmt.Errorf("failed to read tags from database: %w", err))
	case !ok || len(list.Tags) == 0:
		return loop.Wait(imagev1.ReasonDependencyNotReady, r.opts.Requeue, "retrying in %s error: no tags in database", r.opts.Requeue)
	}
	if s.ref.Tag, err = s.verdict.policy.LatestOf(r.prepared.of(list)); err != nil {
		return loop.Wait(imagev1.ReasonFailure, 0, "%w", err) // until there are other tags, or there is another policy
	}
	if list.Revision == scanned {
		s.verdict.image, s.verdict.revision, s.verdict.tag = image, scanned, s.ref.Tag
		r.verdicts.Store(s.obj.UID, s.verdict)
	}
	return nil
}

// prepared are lists that were made ready for policies, kept while somebody looks at
// them: a scan that finds something new is followed by runs of all policies behind it.
// The zero value is ready for use.
type prepared struct {
	mu         sync.Mutex
	byRevision map[string]weak.Pointer[policy.Tags]
}

// of returns a list, made ready.
func (p *prepared) of(list tags.List) *policy.Tags {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byRevision[list.Revision].Value(); known != nil {
		return known
	}
	maps.DeleteFunc(p.byRevision, func(_ string, old weak.Pointer[policy.Tags]) bool { return old.Value() == nil })
	if p.byRevision == nil {
		p.byRevision = make(map[string]weak.Pointer[policy.Tags])
	}
	made := policy.Prepare(list.Tags)
	p.byRevision[list.Revision] = weak.Make(made)
	return made
}
