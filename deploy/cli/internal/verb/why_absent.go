package verb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/origin"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/manifest"
)

// maxBuilds bounds how many Kustomizations are built to find out which one makes an object.
const maxBuilds = 200

// absent finds out why an object is not there: who has applied it, or whose source has it.
func (r *reasons) absent(ctx context.Context, s subject) (reason, error) {
	out := reason{Object: s.id.String(), Status: "NotFound", Message: "it does not exist"}
	var queries []objects.Query
	for _, k := range appliers() {
		queries = append(queries, objects.Query{Kind: k})
	}
	all, err := r.hand.reader.Wholes(ctx, queries)
	if err = unread(r.Session, err); err != nil {
		return out, fmt.Errorf("%s does not exist; looking for what should have made it: %w", s.id, err)
	}
	var remote []*unstructured.Unstructured // what these apply is in other clusters, under the same names
	all, remote = apart(all)
	by, err := listing(all, s.id)
	if err != nil {
		return out, err
	}
	if by != nil {
		out.Message = "it was applied, and is gone"
		made, err := r.step(ctx, owner.Link{ID: manifest.IDOf(by), Object: by}, s.id)
		if err != nil {
			return out, err
		}
		out.By = []step{made}
		return out, r.progress(ctx, &out, by)
	}
	m, unknown, err := r.maker(ctx, all, s.id)
	if err != nil {
		return out, err
	}
	if m == nil {
		there, err := listing(remote, s.id)
		if err != nil {
			return out, err
		}
		return out, s.nobody(all, there, unknown)
	}
	out.Message = "the source has it at " + m.revision + ", which was not applied"
	o, err := kinds.Read(m.by)
	if err != nil {
		return out, err
	}
	made := step{Name: manifest.IDOf(m.by).String(), Source: kinds.SourceName(o), Revision: m.revision, Pending: true}
	if err := r.located(ctx, &made, m.built, nil, s.id); err != nil {
		return out, err
	}
	out.By = []step{made}
	return out, r.progress(ctx, &out, m.by)
}

// apart returns the appliers whose objects are in this cluster, and the others.
func apart(all []*unstructured.Unstructured) (here, elsewhere []*unstructured.Unstructured) {
	for _, by := range all {
		if owner.Elsewhere(by) {
			elsewhere = append(elsewhere, by)
		} else {
			here = append(here, by)
		}
	}
	return here, elsewhere
}

// listing returns which of the appliers has an object in its inventory; nil if none has.
func listing(all []*unstructured.Unstructured, id manifest.ID) (*unstructured.Unstructured, error) {
	for _, by := range all {
		set, err := owner.Inventory(by)
		if err != nil {
			return nil, err
		}
		if _, ok := set[id]; ok {
			return by, nil
		}
	}
	return nil, nil
}

// making is a Kustomization that makes an object of a revision.
type making struct {
	by       *unstructured.Unstructured
	built    *origin.Built
	revision string
}

// maker returns the Kustomization that makes an object, by building all of them, and which
// could not be built, with the reasons.
func (r *reasons) maker(ctx context.Context, all []*unstructured.Unstructured, id manifest.ID) (*making, []error, error) {
	var unknown []error
	builds := 0
	for _, by := range all {
		if by.GetKind() != kustomizev1.KustomizationKind {
			continue
		}
		if builds++; builds > maxBuilds {
			return nil, append(unknown, fmt.Errorf("more than %d Kustomizations: the rest was not built", maxBuilds)), nil
		}
		found, err := r.makes(ctx, by, id)
		if cause := context.Cause(ctx); cause != nil {
			return nil, nil, cause
		}
		if err != nil {
			unknown = append(unknown, err)
		}
		if found != nil {
			return found, nil, nil
		}
	}
	return nil, unknown, nil
}

// makes looks for an object in what a Kustomization makes of the revision that its source
// has now, and of the one that it has applied; nil if it makes no such object.
func (r *reasons) makes(ctx context.Context, by *unstructured.Unstructured, id manifest.ID) (*making, error) {
	ks, err := kustomizationOf(&owner.Link{ID: manifest.IDOf(by), Object: by})
	if err != nil {
		return nil, err
	}
	link, err := r.cluster.Source(ctx, by)
	if err != nil {
		return nil, err
	}
	var revisions []string
	if ks.Spec.SourceRef.Kind == sourcev1.GitRepositoryKind && link != nil && link.Object != nil {
		now, _, _ := unstructured.NestedString(link.Object.Object, "status", "artifact", "revision")
		revisions = append(revisions, now)
	}
	applied := ks.Status.LastAppliedRevision
	if ks.Spec.SourceRef.Kind != sourcev1.GitRepositoryKind {
		applied = ks.Status.LastAppliedOriginRevision
	}
	if len(revisions) == 0 || applied != "" && applied != revisions[0] {
		revisions = append(revisions, applied)
	}
	for _, revision := range revisions {
		built, lost := r.reader.BuiltAt(ctx, ks, revision)
		switch {
		case lost != nil:
			err = cmp.Or(err, lost)
		case built.Has(id):
			return &making{by: by, built: built, revision: revision}, nil
		}
	}
	return nil, err
}

// nobody is the error that nothing makes an object. Which objects a chart makes is not known before it
// is installed.
func (s subject) nobody(asked []*unstructured.Unstructured, elsewhere *unstructured.Unstructured, unknown []error) error {
	releases := 0
	for _, by := range asked {
		if by.GetKind() == helmv2.HelmReleaseKind {
			releases++
		}
	}
	err := fmt.Errorf("%s does not exist, and none of the %d Kustomizations has applied it, or would", s.id, len(asked)-releases)
	if releases > 0 {
		err = fmt.Errorf("%w, and none of the %d HelmReleases has: their charts were not rendered", err, releases)
	}
	if elsewhere != nil {
		err = fmt.Errorf("%w; %s has applied such an object, in another cluster", err, manifest.IDOf(elsewhere))
	}
	if len(unknown) > 0 {
		text := strings.ReplaceAll(errors.Join(unknown...).Error(), "\n", "\n  ")
		err = fmt.Errorf("%w, but of these it is not known:\n  %s", err, text)
		if slices.ContainsFunc(unknown, cloneMayHave) {
			return session.Hint(err, nameClone)
		}
	}
	if s.id.Namespace != "" {
		return session.Hint(err, "is it in another namespace (-n)? See what is applied: weir get kustomizations -A")
	}
	return session.Hint(err, "see what is applied: weir get kustomizations -A")
}
