// Package overlay lays over what a chart renders what a HelmRelease asks for: its
// post-renderers in their order, then its common metadata, and the labels of its owner last.
//
// An Overlay is for one action. The SDK gives the objects of the release to what Manifests
// returns; hooks are not post-rendered by the SDK, so Hooks rewrites those of the release
// before it is first stored. The result is what Flux stores, byte for byte: each object under
// the name of the template that it comes from.
//
// Kustomize works in memory, on the rendered objects alone: it runs no plugin, reads no file
// and reaches no network. What it panics of becomes an error. Errors name the post-renderer,
// the patch and the object, and hold no values of Secrets.
package overlay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/postrender"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
)

// Spec says what to lay over the objects of a release.
type Spec struct {
	// PostRenderers change objects, one after the other.
	PostRenderers []helmv2.PostRenderer
	// CommonMetadata is set on all objects; may be nil.
	CommonMetadata *helmv2.CommonMetadata
	// Strategy says what becomes of hooks; "" takes them together with other objects.
	Strategy helmv2.PostRenderStrategy
	// Owner is the HelmRelease.
	Owner types.NamespacedName
}

// Overlay is what is laid over the objects of one release, once. It is for one action, and
// not safe for concurrent use.
type Overlay struct {
	spec    Spec
	steps   []step
	missing map[string]*target // the targets of patches that were not found, by where the patch is

	rendered bool            // the objects of the release have been
	hooked   bool            // its hooks have been
	moved    []*release.Hook // what was no hook until it was post-rendered
}

// New returns an Overlay for one action. The error says which patch cannot be one.
func New(spec Spec) (*Overlay, error) {
	switch spec.Strategy {
	case "":
		spec.Strategy = helmv2.PostRenderStrategyCombined
	case helmv2.PostRenderStrategyNoHooks, helmv2.PostRenderStrategyCombined, helmv2.PostRenderStrategySeparate:
	default:
		return nil, fmt.Errorf("postRenderStrategy %q is not known", spec.Strategy)
	}
	o := &Overlay{spec: spec, missing: make(map[string]*target)}
	for i, pr := range spec.PostRenderers {
		if pr.Kustomize == nil || len(pr.Kustomize.Patches) == 0 && len(pr.Kustomize.Images) == 0 {
			continue
		}
		s, err := newStep(fmt.Sprintf("postRenderers[%d].kustomize", i), pr.Kustomize)
		if err != nil {
			return nil, err
		}
		o.steps = append(o.steps, s)
	}
	return o, nil
}

// PostRenderersDigest returns what status.observedPostRenderersDigest has for a spec.
func PostRenderersDigest(of []helmv2.PostRenderer) string {
	if of == nil {
		return ""
	}
	return digestOf(of)
}

// CommonMetadataDigest returns what status.observedCommonMetadataDigest has for a spec.
func CommonMetadataDigest(of *helmv2.CommonMetadata) string {
	if of == nil {
		return ""
	}
	return digestOf(of)
}

// digestOf digests the JSON of a value, with the newline that an encoder writes after it.
func digestOf(v any) string {
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(v); err != nil {
		return ""
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Manifests returns the post-renderer of the objects that are no hooks.
func (o *Overlay) Manifests() postrender.PostRenderer { return manifests{o} }

type manifests struct{ *Overlay }

// Run implements postrender.PostRenderer.
func (m manifests) Run(rendered *bytes.Buffer) (*bytes.Buffer, error) {
	docs, err := m.layOver(split(rendered.String()))
	if err != nil {
		return nil, err
	}
	m.rendered = true
	if err := m.lost(m.spec.Strategy != helmv2.PostRenderStrategyCombined && len(docs) > 0); err != nil {
		return nil, err
	}
	var objects []document
	for _, d := range closed(docs) {
		if d.hook && m.spec.Strategy != helmv2.PostRenderStrategyNoHooks {
			hooks, err := asHooks(d)
			if err != nil {
				return nil, err
			}
			m.moved = append(m.moved, hooks...)
			continue
		}
		objects = append(objects, d)
	}
	return bytes.NewBufferString(join(objects)), nil
}

// Hooks rewrites the hooks of a release whose other objects were rendered by Manifests, once.
// It leaves other releases alone, such as one that was rolled back to.
func (o *Overlay) Hooks(r *release.Release) error {
	if !o.rendered || o.hooked || o.spec.Strategy == helmv2.PostRenderStrategyNoHooks {
		return nil
	}
	o.hooked = true
	if o.spec.Strategy == helmv2.PostRenderStrategySeparate {
		clear(o.missing)
	}
	hooks := slices.Clone(o.moved)
	for _, layer := range layers(r.Hooks) {
		docs, err := o.layOver(layer)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if !d.hook {
				return fmt.Errorf("%s %s in %s is no hook any more after post-rendering: a hook stays one, it can be changed or deleted", d.kind, d.name, d.source)
			}
			found, err := asHooks(d)
			if err != nil {
				return err
			}
			hooks = append(hooks, found...)
		}
	}
	if err := o.lost(o.spec.Strategy == helmv2.PostRenderStrategyCombined || len(r.Hooks) > 0); err != nil {
		return err
	}
	slices.SortStableFunc(hooks, func(a, b *release.Hook) int { return strings.Compare(a.Path, b.Path) })
	slices.SortStableFunc(hooks, func(a, b *release.Hook) int { return compareKinds(a.Kind, b.Kind) })
	r.Hooks = hooks
	return nil
}

// lost says which patches have found no target, if all their targets could have been found.
func (o *Overlay) lost(all bool) error {
	if !all {
		return nil
	}
	var lost []string
	for _, t := range o.missing {
		if !t.found {
			lost = append(lost, fmt.Sprintf("%s: there is no %s to patch: correct kind, name and namespace, or remove the patch", t.at, t.name))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return errors.New(strings.Join(lost, "; "))
}

// layers divides hooks into sets without two objects of one name: hooks of several events
// may be the same object.
func layers(hooks []*release.Hook) [][]document {
	var sets [][]document
	count := make(map[string]int)
	for _, h := range hooks {
		key := h.Kind + "/" + h.Name // of several namespaces, or groups, which is no harm
		n := count[key]
		count[key]++
		if n == len(sets) {
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], document{source: h.Path, text: h.Manifest})
	}
	return sets
}
