package values_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/helm-controller/internal/values"
)

func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	refused := errors.New("the server said no")
	one := func(ref meta.ValuesReference) meta.ValuesReference {
		ref.Kind, ref.Name = "Secret", "one"
		return ref
	}
	tests := map[string]struct {
		why     string
		ref     meta.ValuesReference
		value   string
		inline  string
		readErr error
		is      error
		want    string
	}{
		"an object that does not exist": {
			ref: meta.ValuesReference{Kind: "ConfigMap", Name: "missing"}, is: apierrors.NewNotFound(schema.GroupResource{}, ""),
			want: `values from ConfigMap apps/missing, key "values.yaml": configmaps "missing" not found`,
		},
		"a key that does not exist": {
			ref: one(meta.ValuesReference{ValuesKey: "missing"}), is: values.ErrNoKey,
			want: `values from Secret apps/one, key "missing": there is no such key`,
		},
		"an object that cannot be read": {
			why: "optional is what does not exist", ref: one(meta.ValuesReference{Optional: true}), readErr: refused, is: refused,
			want: `values from Secret apps/one, key "values.yaml": the server said no`,
		},
		"another kind": {
			ref: meta.ValuesReference{Kind: "Deployment", Name: "one", Optional: true}, is: values.ErrKind,
			want: `values from Deployment apps/one, key "values.yaml": values come from a ConfigMap or a Secret`,
		},
		"a document that is no map": {
			why: "the parser tells what it has found instead", ref: one(meta.ValuesReference{}), value: secret, is: values.ErrNoMap,
			want: `values from Secret apps/one, key "values.yaml": not a map of values in YAML`,
		},
		"a document that is no YAML": {
			ref: one(meta.ValuesReference{Optional: true}), value: "a: b\nc: " + secret + "\n d: e\n", is: values.ErrNoMap,
			want: `values from Secret apps/one, key "values.yaml": line 3: not a map of values in YAML`,
		},
		"a path through what is no map": {
			ref: one(meta.ValuesReference{TargetPath: "a.b"}), value: secret, inline: "{a: 1}", is: values.ErrPath,
			want: `values from Secret apps/one, key "values.yaml": cannot set the value at the target path "a.b"`,
		},
		"an element of what is no list": {
			ref: one(meta.ValuesReference{TargetPath: "a[0]", Literal: true}), value: secret, inline: "{a: 1}", is: values.ErrPath,
			want: `values from Secret apps/one, key "values.yaml": cannot set the value at the target path "a[0]"`,
		},
		"more than the flag takes": {
			why: "the parser takes the rest for a name and quotes it", ref: one(meta.ValuesReference{TargetPath: "a"}), value: "b," + secret, is: values.ErrPath,
			want: `values from Secret apps/one, key "values.yaml": cannot set the value at the target path "a"`,
		},
		"a list without an end": {
			ref: one(meta.ValuesReference{TargetPath: "a"}), value: "{" + secret, is: values.ErrPath,
			want: `values from Secret apps/one, key "values.yaml": cannot set the value at the target path "a"`,
		},
		"inline values that are no map": {
			ref: one(meta.ValuesReference{}), value: "a: b", inline: "[" + secret + "]", is: values.ErrNoMap,
			want: `spec.values: not a map of values in YAML`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			read := &objects{data: map[string]map[string]string{"Secret/one": {"values.yaml": tc.value}}, err: tc.readErr}
			got, err := values.Compose(t.Context(), values.Spec{Namespace: "apps", From: []meta.ValuesReference{tc.ref}, Inline: inline(t, tc.inline)}, read)
			if err == nil {
				t.Fatalf("composed %v", got)
			}
			if !errors.Is(err, tc.is) && (!apierrors.IsNotFound(err) || !apierrors.IsNotFound(tc.is)) {
				t.Errorf("error %v is not %v", err, tc.is)
			}
			if err.Error() != tc.want {
				t.Errorf("error is\n%s, want\n%s (%s)", err, tc.want, tc.why)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has a value: %s", err)
			}
		})
	}
}

func TestComposeRefusesTooMuch(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	read := &objects{data: map[string]map[string]string{"ConfigMap/one": {"v": strings.Repeat("x", mebibyte)}}}
	spec := values.Spec{Namespace: "apps"}
	for range 16 {
		spec.From = append(spec.From, meta.ValuesReference{Kind: "ConfigMap", Name: "one", ValuesKey: "v", TargetPath: "a.b", Literal: true})
	}
	if _, err := values.Compose(t.Context(), spec, read); err != nil {
		t.Errorf("16 MiB are refused: %v", err)
	}
	spec.From = append(spec.From, spec.From[0])
	if _, err := values.Compose(t.Context(), spec, read); !errors.Is(err, values.ErrTooLarge) {
		t.Errorf("17 MiB are taken: %v", err)
	}
}
