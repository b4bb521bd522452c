package verb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/blame"
	"weir.dev/deploy/cli/internal/origin"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/mask"
)

// veil is what must not be shown of the values that a Kustomization or HelmRelease has put into
// objects: those of Secrets, and those that are encrypted where they are written.
type veil struct {
	texts []string
	mask  mask.Mask
	// variables are those of a Kustomization that are known, and whether they are secret.
	variables map[string]bool
	// unread says that a Secret could not be read, so that what is of it is known by nothing.
	unread bool
}

// secret reports whether a variable is, or may be.
func (v *veil) secret(name string) bool {
	secret, known := v.variables[name]
	return secret || !known && v.unread
}

// veil returns what must not be shown of what one has applied. What cannot be found out counts
// as secret, with a warning.
func (b *blaming) veil(ctx context.Context, by *unstructured.Unstructured) *veil {
	id := manifest.IDOf(by)
	if known := b.veils[id]; known != nil {
		return known
	}
	v := &veil{variables: make(map[string]bool)}
	b.veils[id] = v // which is asked for again by one that applies itself
	var err error
	switch by.GetKind() {
	case kustomizev1.KustomizationKind:
		err = b.hideVariables(ctx, v, by)
	case helmv2.HelmReleaseKind:
		err = b.hideValues(ctx, v, by)
	}
	if err != nil && ctx.Err() == nil {
		b.warn(err)
	}
	v.mask = mask.New(v.texts...)
	return v
}

// hideVariables hides the variables of a Kustomization that are from Secrets, or encrypted.
func (b *blaming) hideVariables(ctx context.Context, v *veil, by *unstructured.Unstructured) error {
	ks := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(by.Object, ks); err != nil || ks.Spec.PostBuild == nil {
		return err
	}
	for _, ref := range ks.Spec.PostBuild.SubstituteFrom {
		key := types.NamespacedName{Namespace: ks.Namespace, Name: ref.Name}
		if ref.Kind == "Secret" {
			values, ok := b.secretData(ctx, key, ref.Optional)
			if !ok {
				v.unread = true
				clear(v.variables) // it may have any of them
			}
			for name, value := range values {
				v.variables[name] = true
				v.texts = append(v.texts, string(value))
			}
			continue
		}
		var config corev1.ConfigMap
		if err := b.cluster.Client.Get(ctx, key, &config); err != nil {
			continue // its values are shown, as what is not known is while all Secrets are read
		}
		for name := range config.Data {
			v.variables[name] = false
		}
	}
	if len(ks.Spec.PostBuild.Substitute) == 0 {
		return nil
	}
	secret, err := b.secretIn(ctx, v, by)
	for name, value := range ks.Spec.PostBuild.Substitute {
		field := append(blame.Below("spec.postBuild.substitute", nil), fieldpath.PathElement{FieldName: &name})
		if v.variables[name] = secret(field, value); v.variables[name] {
			v.texts = append(v.texts, value)
		}
	}
	return err
}

// hideValues hides the values of a HelmRelease that are from Secrets, or encrypted.
func (b *blaming) hideValues(ctx context.Context, v *veil, by *unstructured.Unstructured) error {
	hr := &helmv2.HelmRelease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(by.Object, hr); err != nil {
		return err
	}
	for _, ref := range hr.Spec.ValuesFrom {
		if ref.Kind != "Secret" {
			continue
		}
		data, ok := b.secretData(ctx, types.NamespacedName{Namespace: hr.Namespace, Name: ref.Name}, ref.Optional)
		v.unread = v.unread || !ok
		if entry, ok := data[ref.GetValuesKey()]; ok {
			v.texts = append(v.texts, secretTexts(string(entry))...)
		}
	}
	values, found, err := unstructured.NestedMap(by.Object, "spec", "values")
	if err != nil || !found {
		return err
	}
	secret, err := b.secretIn(ctx, v, by)
	eachLeaf(blame.Below("spec.values", nil), values, func(field fieldpath.Path, value any) {
		if secret(field, value) {
			v.texts = append(v.texts, leafTexts(value)...)
		}
	})
	return err
}

// secretData reads a Secret; false if it cannot be, which is told.
func (b *blaming) secretData(ctx context.Context, key types.NamespacedName, optional bool) (map[string][]byte, bool) {
	var secret corev1.Secret
	err := b.cluster.Client.Get(ctx, key, &secret)
	if err == nil || optional && apierrors.IsNotFound(err) {
		return secret.Data, true
	}
	if ctx.Err() == nil {
		b.warn(fmt.Errorf("what may be of Secret %s is %s: %w", key, blame.Masked, err))
	}
	return nil, false
}

// secretIn returns what tells which fields of an object are secret where that is written, or may
// be, because that cannot be read. What is secret for who applies the object is added to v.
func (b *blaming) secretIn(ctx context.Context, v *veil, obj *unstructured.Unstructured) (func(fieldpath.Path, any) bool, error) {
	all := func(fieldpath.Path, any) bool { return true }
	above, err := b.cluster.Above(ctx, obj)
	if err != nil {
		return all, err
	}
	if above == nil || above.ID.Kind != kustomizev1.KustomizationKind {
		return func(fieldpath.Path, any) bool { return false }, nil
	}
	ks, err := kustomizationOf(above)
	if err != nil {
		return all, err
	}
	its := b.veil(ctx, above.Object)
	v.texts = append(v.texts, its.texts...)
	var built *origin.Built
	if ks.Spec.Decryption != nil || its.unread {
		if built, err = b.reader.Built(ctx, ks); err != nil {
			return all, err
		}
	}
	texts := mask.New(its.texts...)
	return func(field fieldpath.Path, value any) bool {
		quoted := strconv.Quote(fmt.Sprint(value))
		return texts.Text(quoted) != quoted || built != nil && hides(built, its, obj, field)
	}, nil
}

// hides reports whether a field is encrypted where it is written, or may have come of a Secret
// that cannot be read.
func hides(built *origin.Built, v *veil, obj *unstructured.Unstructured, field fieldpath.Path) bool {
	id := manifest.IDOf(obj)
	if built.Encrypted(id, field) {
		return true
	}
	value, _ := manifest.At(obj.Object, field)
	return v.unread && !built.Makes(id, field, value)
}

// eachLeaf visits what is no map and no list in a value.
func eachLeaf(at fieldpath.Path, v any, visit func(fieldpath.Path, any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			eachLeaf(append(at.Copy(), fieldpath.PathElement{FieldName: &key}), inner, visit)
		}
	case []any:
		for i, inner := range v {
			eachLeaf(append(at.Copy(), fieldpath.PathElement{Index: &i}), inner, visit)
		}
	default:
		visit(at, v)
	}
}

// leafTexts returns how a value may stand in a text.
func leafTexts(v any) []string {
	switch v := v.(type) {
	case nil, bool:
		return nil // which tells nothing
	case float64:
		return []string{fmt.Sprint(v), strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(v)}
}

// secretTexts returns what must not be shown of an entry of a Secret: each value, if it is a
// document of values, and itself, unless it has several lines, which may stand in any text.
func secretTexts(entry string) []string {
	var values map[string]any
	if yaml.Unmarshal([]byte(entry), &values) != nil || len(values) == 0 {
		return []string{entry}
	}
	var out []string
	eachLeaf(nil, values, func(_ fieldpath.Path, v any) { out = append(out, leafTexts(v)...) })
	if entry = strings.TrimSpace(entry); !strings.Contains(entry, "\n") {
		out = append(out, entry)
	}
	return out
}

// shown returns the value of a field without what must not be shown of what above has applied.
func (b *blaming) shown(ctx context.Context, obj *unstructured.Unstructured, above *owner.Link, field fieldpath.Path) string {
	if above == nil || above.Object == nil || !isApplier(above.Object) {
		return blame.Show(obj, field, nil)
	}
	return blame.Show(obj, field, b.veil(ctx, above.Object).mask.Text)
}

// mask hides the value.
func (f *fault) mask() {
	if f.Value != "" {
		f.Value = blame.Masked
	}
}

// maskOthers shows no more of a field where it has another manager than where it is of the one
// that has applied the object.
func maskOthers(all []fault) {
	for _, f := range all {
		if f.Owner == "" {
			continue
		}
		for i := range all {
			switch other := &all[i]; {
			case f.Value == blame.Masked && blame.Related(f.path, other.path):
				other.mask()
			case other.Value != blame.Masked && slices.EqualFunc(f.path, other.path, fieldpath.PathElement.Equals):
				other.Value = f.Value
			}
		}
	}
}
