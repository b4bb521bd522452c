package helmvalues_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/helmvalues"
)

// secrets has what Secrets have, by their names.
type secrets map[string]map[string]string

func (s secrets) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	found, ok := s[key.Name]
	secret, isSecret := into.(*corev1.Secret)
	if !ok || !isSecret || key.Namespace != "apps" {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret.Data = make(map[string][]byte)
	for name, value := range found {
		secret.Data[name] = []byte(value)
	}
	return nil
}

// notes is a Setter that puts what it is asked for under the key of its kind.
func notes() helmvalues.Setter {
	note := func(key string) func(string, map[string]any) error {
		return func(assignment string, values map[string]any) error {
			if strings.Contains(assignment, "refused") {
				return errors.New("this quotes " + assignment)
			}
			values[key] = assignment
			return nil
		}
	}
	return helmvalues.Setter{Typed: note("typed"), Text: note("text")}
}

// TestCompose: the controller tests it with the setter that it has; here is what is asked of
// one.
func TestCompose(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		from []meta.ValuesReference
		want map[string]any
	}{
		"documents": {
			why: "later ones win, and the spec does", from: []meta.ValuesReference{{Kind: "Secret", Name: "one"}, {Kind: "Secret", Name: "two"}},
			want: map[string]any{"a": "one", "b": "two", "c": "spec"},
		},
		"a value": {
			why: "its type is told from it", from: []meta.ValuesReference{{Kind: "Secret", Name: "one", ValuesKey: "plain", TargetPath: "x.y"}},
			want: map[string]any{"typed": "x.y=12", "c": "spec"},
		},
		"a value in quotes": {
			why: "it is text", from: []meta.ValuesReference{{Kind: "Secret", Name: "one", ValuesKey: "quoted", TargetPath: "x"}},
			want: map[string]any{"text": "x=12", "c": "spec"},
		},
		"a literal value": {
			why: "nothing of it has a meaning", from: []meta.ValuesReference{{Kind: "Secret", Name: "one", ValuesKey: "marks", TargetPath: "x", Literal: true}},
			want: map[string]any{"text": `x=\{a\,b}`, "c": "spec"},
		},
		"what is optional": {
			why: "it need not be there", from: []meta.ValuesReference{{Kind: "Secret", Name: "none", Optional: true}, {Kind: "Secret", Name: "one", ValuesKey: "none", Optional: true}},
			want: map[string]any{"c": "spec"},
		},
	}
	read := secrets{
		"one": {"values.yaml": "a: one\nb: one\nc: one", "plain": "12", "quoted": `"12"`, "marks": "{a,b}"},
		"two": {"values.yaml": "b: two"},
	}
	for name, tc := range tests {
		spec := helmvalues.Spec{Namespace: "apps", From: tc.from, Inline: &apiextensionsv1.JSON{Raw: []byte(`{"c": "spec"}`)}}
		got, err := helmvalues.Compose(t.Context(), spec, read, notes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", name, tc.why, diff)
		}
	}
}

// TestComposeTellsNoValue: what a setter says of a value that it does not understand is not
// passed on.
func TestComposeTellsNoValue(t *testing.T) {
	t.Parallel()
	spec := helmvalues.Spec{Namespace: "apps", From: []meta.ValuesReference{{Kind: "Secret", Name: "one", ValuesKey: "key", TargetPath: "a.b"}}}
	_, err := helmvalues.Compose(t.Context(), spec, secrets{"one": {"key": "refused-s3cret"}}, notes())
	if !errors.Is(err, helmvalues.ErrPath) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Compose = %v", err)
	}
}
