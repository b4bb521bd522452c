package watch

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithoutManagedFields(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, doc, want string
	}{
		"object": {
			doc:  `{"kind":"Deployment","metadata":{"name":"web","managedFields":[{"manager":"a","fieldsV1":{"f:spec":{"f:x":{}}}}],"uid":"1"},"spec":{"x":[1,2]}}`,
			want: `{"kind":"Deployment","metadata":{"name":"web","managedFields":null,"uid":"1"},"spec":{"x":[1,2]}}`,
		},
		"list": {
			doc:  `{"kind":"List","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"managedFields":[{}]}},{"metadata":{"managedFields":[]}}]}`,
			want: `{"kind":"List","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"managedFields":null}},{"metadata":{"managedFields":null}}]}`,
		},
		"blanks": {
			doc:  "{ \"metadata\" : {\n\t\"managedFields\" : [ { } ] , \"name\" : \"a\" } }\n",
			want: "{ \"metadata\" : {\n\t\"managedFields\" : null , \"name\" : \"a\" } }\n",
		},
		"quotes and brackets in strings": {
			why:  `a string may hold anything`,
			doc:  `{"metadata":{"annotations":{"a":"]}\\\"","b":"\\"},"managedFields":[{"manager":"\"]"}]}}`,
			want: `{"metadata":{"annotations":{"a":"]}\\\"","b":"\\"},"managedFields":null}}`,
		},
		"elsewhere": {
			why:  "only the metadata of the object itself is known to mean that",
			doc:  `{"metadata":{"name":"a"},"spec":{"metadata":{"managedFields":[1]},"managedFields":[2]},"managedFields":[3]}`,
			want: `{"metadata":{"name":"a"},"spec":{"metadata":{"managedFields":[1]},"managedFields":[2]},"managedFields":[3]}`,
		},
		"data that is called items": {
			doc:  `{"items":{"a":"b"},"metadata":{"managedFields":[1]}}`,
			want: `{"items":{"a":"b"},"metadata":{"managedFields":null}}`,
		},
		"none":      {doc: `{"metadata":{"name":"a"}}`, want: `{"metadata":{"name":"a"}}`},
		"cut off":   {doc: `{"metadata":{"managedFields":[{}],"na`, want: `{"metadata":{"managedFields":[{}],"na`},
		"no object": {doc: `[{"metadata":{"managedFields":[1]}}]`, want: `[{"metadata":{"managedFields":[1]}}]`},
		"empty":     {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, string(withoutManagedFields([]byte(tc.doc)))); d != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, d)
			}
		})
	}
}

// FuzzWithoutManagedFields: but for the managed fields, what is decoded is the same, and
// what cannot be decoded stays so.
func FuzzWithoutManagedFields(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"managedFields":[{"a":"\""}],"x":1}}`, `{"items":[{"metadata":{"managedFields":null}}]}`, `{"metadata":[]}`, `{"a":1`, ` {} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		lean := withoutManagedFields(bytes.Clone(doc))
		var want, got map[string]any
		if err := json.Unmarshal(doc, &want); err != nil || want == nil {
			return
		}
		if err := json.Unmarshal(lean, &got); err != nil {
			t.Fatalf("%q became %q: %v", doc, lean, err)
		}
		forget(want)
		forget(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q became %q (-want +got):\n%s", doc, lean, d)
		}
	})
}

// forget drops the managed fields of an object, and of the items of a list.
func forget(obj map[string]any) {
	if metadata, ok := obj["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	items, _ := obj["items"].([]any)
	for _, item := range items {
		if o, ok := item.(map[string]any); ok {
			forget(o)
		}
	}
}
