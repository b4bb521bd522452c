package installation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/install"
	"weir.dev/pkg/apply"
)

// rewriters is how many objects are rewritten at once.
const rewriters = 10

// Migration has objects be stored in the version in which their definition has new ones
// stored. A definition can let go of an older version only then: the API server refuses one
// without a version in which there may still be objects.
type Migration struct {
	Client client.Client
	// DryRun only tells.
	DryRun bool
	// Tell hears of each object and definition.
	Tell func(format string, args ...any)
}

// Run rewrites the objects of definitions, but for those whose objects are all as they should
// be, and returns how many definitions it has changed.
func (m Migration) Run(ctx context.Context, crds []*apiextensionsv1.CustomResourceDefinition) (int, error) {
	n := 0
	for _, crd := range crds {
		if !mixed(crd) {
			continue
		}
		if err := m.definition(ctx, crd); err != nil {
			return n, fmt.Errorf("migrating the objects of %s: %w", crd.Name, err)
		}
		n++
	}
	return n, nil
}

// mixed reports whether objects of a definition may be stored in another version than new
// ones are.
func mixed(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.StoredVersions, func(v string) bool { return v != newest(crd) })
}

func (m Migration) definition(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: newest(crd), Kind: crd.Spec.Names.Kind}
	l := list(gvk.Group, gvk.Version, gvk.Kind)
	if err := m.Client.List(ctx, l); err != nil {
		return err
	}
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(rewriters)
	for _, obj := range pointers(l) {
		m.say("%s/%s/%s migrated to version %s", gvk.Kind, obj.GetNamespace(), obj.GetName(), gvk.Version)
		g.Go(func() error { return m.rewrite(within, obj, gvk.GroupVersion()) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.say("%s migrated to storage version %s", crd.Name, gvk.Version)
	if m.DryRun {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": crd.ResourceVersion}, // another storage version would be another matter
		"status":   map[string]any{"storedVersions": []string{gvk.Version}},
	})
	if err != nil {
		return err
	}
	return m.Client.Status().Patch(ctx, crd.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
}

// rewrite has an object be written as it is. One that says of fields who has set them in an
// older version says so in this one from then on: nobody can apply it otherwise once the
// older one is gone.
func (m Migration) rewrite(ctx context.Context, obj *unstructured.Unstructured, to schema.GroupVersion) error {
	if m.DryRun {
		return nil
	}
	how, patch := types.MergePatchType, []byte("{}")
	if fields := apply.MigrationPatch(obj, to); fields != nil {
		how, patch = types.JSONPatchType, fields
	}
	err := m.Client.Patch(ctx, obj, client.RawPatch(how, patch))
	if apierrors.IsConflict(err) { // somebody has written it, which does as well
		err = m.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, []byte("{}")))
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
	}
	return nil
}

func (m Migration) say(format string, args ...any) {
	if m.DryRun {
		format += " (dry run)"
	}
	m.Tell(format, args...)
}

// AllDefinitions returns the CRDs of the toolkit that there are, also those of other
// distributions.
func (r Reader) AllDefinitions(ctx context.Context) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var l apiextensionsv1.CustomResourceDefinitionList
	if err := r.Client.List(ctx, &l); err != nil {
		return nil, fmt.Errorf("listing definitions: %w", err)
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for i := range l.Items {
		if ofToolkit(l.Items[i].Spec.Group) {
			out = append(out, &l.Items[i])
		}
	}
	return out, nil
}

// Outdated returns the definitions of weir's kinds whose objects may be stored in versions
// that weir does not have. Those of which new objects are stored like that are told apart:
// nothing can be done about them here.
func (s State) Outdated() (mendable, hopeless []*apiextensionsv1.CustomResourceDefinition, err error) {
	wanted, err := definitionsOf(install.All())
	if err != nil {
		return nil, nil, err
	}
	for _, want := range wanted {
		have := s.Definitions[want.Name]
		switch {
		case have == nil || !slices.ContainsFunc(have.Status.StoredVersions, func(v string) bool { return !defines(want, v) }):
		case defines(want, newest(have)):
			mendable = append(mendable, have)
		default:
			hopeless = append(hopeless, have)
		}
	}
	return mendable, hopeless, nil
}

func defines(crd *apiextensionsv1.CustomResourceDefinition, version string) bool {
	return slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == version })
}

// storage tells of objects that are stored in versions which weir does not have.
func (s State) storage() []Finding {
	mendable, hopeless, err := s.Outdated()
	if err != nil {
		return []Finding{bad("the definitions of this command cannot be read: %v", err).do("get another copy of the command")}
	}
	var out []Finding
	for _, crd := range hopeless {
		out = append(out, bad("%s: objects are stored as %s, which weir does not have", crd.Name, newest(crd)).
			do("upgrade Flux to a version that stores them in one that weir has, then run: weir migrate"))
	}
	for _, crd := range mendable {
		out = append(out, notable("%s: objects may be stored as %s, and weir has only %s", crd.Name, strings.Join(crd.Status.StoredVersions, ", "), newest(crd)).
			do("weir install and weir bootstrap see to that first; to do it now: weir migrate"))
	}
	return out
}
