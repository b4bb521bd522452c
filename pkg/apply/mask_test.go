package apply

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestMasked(t *testing.T) {
	t.Parallel()
	secret := func(content string) string {
		return "{apiVersion: v1, kind: Secret, metadata: {name: a}, " + content + "}"
	}
	tests := map[string]struct {
		why  string
		obj  string
		text string
		want string
	}{
		"as it is written":      {why: "the API server repeats it", obj: secret("data: {k: aHVudGVy}"), text: "got aHVudGVy", want: "got ***"},
		"what it means":         {why: "the API server decodes it", obj: secret("data: {k: aHVudGVy}"), text: "got hunter", want: "got ***"},
		"plain":                 {why: "the API server repeats it", obj: secret("stringData: {k: hunter two}"), text: `got "hunter two", not 2`, want: `got "***", not 2`},
		"each time":             {why: "once is enough to know it", obj: secret("stringData: {k: hunter}"), text: "hunter and hunter", want: "*** and ***"},
		"inside a word":         {why: "it is long enough not to be there by chance", obj: secret("stringData: {k: hunter}"), text: "bountyhunters", want: "bounty***s"},
		"part of another":       {why: "the rest would be told", obj: secret("stringData: {a: hunter, b: hunter two}"), text: "hunter two", want: "***"},
		"a short one":           {why: "it stands by itself", obj: secret("stringData: {k: ab}"), text: "got ab, 'ab' and (ab)", want: "got ***, '***' and (***)"},
		"a short one in a word": {why: "it is there by chance", obj: secret("stringData: {k: ab}"), text: "unable, about", want: "unable, about"},
		"a number":              {why: "the user forgot the quotes", obj: secret("stringData: {k: 98765}"), text: "got 98765", want: "got ***"},
		"signs of expressions":  {why: "they are no expression", obj: secret(`stringData: {a: "a.c", b: "x+$1"}`), text: "a.c abc x+$1", want: "*** abc ***"},
		"an empty one":          {why: "it says nothing", obj: secret(`stringData: {a: "", b: " "}`), text: "some text", want: "some text"},
		"keys":                  {why: "they are no secret", obj: secret("stringData: {password: hunter}"), text: "data[password]", want: "data[password]"},
		"of another kind":       {why: "this is no Secret", obj: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: hunter}}", text: "got hunter", want: "got hunter"},
		"of another group":      {why: "nobody knows what its data are", obj: "{apiVersion: example.com/v1, kind: Secret, metadata: {name: a}, data: {k: hunter}}", text: "got hunter", want: "got hunter"},
		"no data at all":        {why: "nothing may panic", obj: secret("data: null, stringData: [a]"), text: "some text", want: "some text"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := apierrors.NewBadRequest(tc.text)
			err := masked(refusal, parse(t, tc.obj))
			if err.Error() != tc.want {
				t.Errorf("masked() is %q, want %q (%s)", err, tc.want, tc.why)
			}
			if !errors.Is(err, refusal) || !apierrors.IsBadRequest(err) {
				t.Error("the error is no longer what it was")
			}
		})
	}
	if err := masked(nil, parse(t, secret("data: {k: aHVudGVy}"))); err != nil {
		t.Errorf("masked(nil) = %v", err)
	}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return obj
}

// TestMaskedWhereverItStands: values stand where they do not belong, too.
func TestMaskedWhereverItStands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ obj, text string }{
		"bool, unquoted":               {obj: "stringData: {hunter: true}", text: "got true"},
		"short bytes":                  {obj: "data: {k: tru+}", text: "got tru+"},
		"in a list":                    {obj: "stringData: {k: [hunter]}", text: `.stringData.k: expected string, got &value.valueUnstructured{Value:[]interface {}{"hunter"}}`},
		"in a map":                     {obj: "stringData: {k: {d: hunter}}", text: `.stringData.k: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"d":"hunter"}}`},
		"in the place of all data":     {obj: "stringData: hunter", text: ".stringData: expected map, got &{hunter}"},
		"as a list of all data":        {obj: "data: [hunter]", text: ".data: expected map, got &{[hunter]}"},
		"two lines, as Go quotes them": {obj: `stringData: {k: ["hunter\ntwo"]}`, text: `got []interface {}{"hunter\ntwo"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := masked(apierrors.NewBadRequest(tc.text), parse(t, "{apiVersion: v1, kind: Secret, metadata: {name: a}, "+tc.obj+"}"))
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("masked() is %q", err)
			}
		})
	}
}
