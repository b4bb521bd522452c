package values_test

import (
	"encoding/json"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/values"
)

// recorded reads a HelmRelease that the Flux controllers have released.
func recorded(t *testing.T, name string) *helmv2.HelmRelease {
	t.Helper()
	data, err := os.ReadFile("../../../api/helm/v2/testdata/recorded/helmrelease-" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	hr := &helmv2.HelmRelease{}
	if err := yaml.UnmarshalStrict(data, hr); err != nil {
		t.Fatal(err)
	}
	return hr
}

// TestDigestIsThatOfFlux has what is left of a migration if this fails: every release
// of a cluster is upgraded.
func TestDigestIsThatOfFlux(t *testing.T) {
	t.Parallel()
	// The objects that the values of "from" came from.
	read := &objects{data: map[string]map[string]string{
		"ConfigMap/more-values": {"values.yaml": "replicas: 0\nconfig: {level: debug, nested: {list: [1, 2.5, \"3\", true, null]}}\n"},
		"Secret/tag":            {"tag": "2.0"},
	}}
	tests := map[string]struct {
		release string
		change  func(*helmv2.HelmRelease)
		nth     int // of the history
	}{
		"no values":          {release: "defaults"},
		"values of the spec": {release: "values"},
		"what the spec had before": {release: "values", nth: 1, change: func(hr *helmv2.HelmRelease) {
			hr.Spec.Values.Raw = regexp.MustCompile(`"tag":"1\.11"`).ReplaceAll(hr.Spec.Values.Raw, []byte(`"tag":"1.10"`))
		}},
		"values of objects": {release: "from"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			hr := recorded(t, tc.release)
			want := hr.Status.History[tc.nth].ConfigDigest
			if tc.change != nil {
				tc.change(hr)
			}
			got, err := values.Compose(t.Context(), values.Spec{Namespace: "apps", From: hr.Spec.ValuesFrom, Inline: hr.Spec.Values}, read)
			if err != nil {
				t.Fatal(err)
			}
			if sum := values.Digest(digest.SHA256, got); sum != want {
				t.Errorf("digest is %s, want %s; values:\n%v", sum, want, got)
			}
			if tc.nth == 0 && want != hr.Status.LastAttemptedConfigDigest {
				t.Errorf("the history has digest %s, the status %s", want, hr.Status.LastAttemptedConfigDigest)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := map[string]struct {
		why  string
		a, b map[string]any
		same bool
	}{
		"no map and an empty one":         {why: "a release without values has neither", a: nil, b: obj{}, same: true},
		"types of whole numbers":          {why: "what is stored as JSON is read as another", a: obj{"a": int64(3)}, b: obj{"a": 3.0}, same: true},
		"a number and a string":           {a: obj{"a": 3.0}, b: obj{"a": "3"}},
		"a boolean and a string":          {a: obj{"a": true}, b: obj{"a": "true"}},
		"null and nothing":                {why: "null takes away a value of the chart", a: obj{"a": nil}, b: obj{}},
		"an empty map and null":           {a: obj{"a": obj{}}, b: obj{"a": nil}},
		"an empty list and an empty map":  {a: obj{"a": obj{}}, b: obj{"a": list{}}},
		"lists in another order":          {a: obj{"a": list{1.0, 2.0}}, b: obj{"a": list{2.0, 1.0}}},
		"values of other keys":            {a: obj{"a": "x", "b": "y"}, b: obj{"a": "y", "b": "x"}},
		"whole numbers beyond a fraction": {a: obj{"a": int64(math.MaxInt64)}, b: obj{"a": int64(math.MaxInt64 - 1)}},
	}
	for name, tc := range tests {
		a, b := values.Digest(digest.SHA256, tc.a), values.Digest(digest.SHA256, tc.b)
		if (a == b) != tc.same || a == "" || b == "" {
			t.Errorf("%s: digests are %s and %s, want the same: %t (%s)", name, a, b, tc.same, tc.why)
		}
	}
	if got := values.Digest(digest.SHA256, nil); got != empty {
		t.Errorf("digest of nothing is %s, want %s", got, empty)
	}
}

// TestDigestIsStable: maps have no order, wherever they are.
func TestDigestIsStable(t *testing.T) {
	t.Parallel()
	var want string
	for i := range 50 {
		m := obj{}
		for _, key := range strings.Split("the quick brown fox jumps over a lazy dog", " ") {
			m[key] = obj{"b": 1.0, "a": list{list{obj{"z": 1.0, "y": 2.0, "x": 3.0}}, obj{"w": 1.0, "v": 2.0}}}
		}
		got := values.Digest(digest.SHA256, m)
		if i == 0 {
			want = got
		}
		if got != want {
			t.Fatalf("digest %d is %s, the first was %s", i, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	v := obj{"a": obj{"b": "c"}}
	tests := map[string]struct {
		why  string
		sum  string
		want bool
	}{
		"its own":              {sum: values.Digest(digest.SHA256, v), want: true},
		"of another algorithm": {why: "that of the controller may have been changed", sum: values.Digest(digest.SHA512, v), want: true},
		"of others":            {sum: values.Digest(digest.SHA256, nil)},
		"none":                 {sum: ""},
		"of no algorithm":      {sum: "md5:900150983cd24fb0d6963f7d28e17f72"},
	}
	for name, tc := range tests {
		if got := values.Matches(tc.sum, v); got != tc.want {
			t.Errorf("%s: digest %q matches: %t, want %t (%s)", name, tc.sum, got, tc.want, tc.why)
		}
	}
}

// targetPath is what the API server takes for one.
var targetPath = regexp.MustCompile(`^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,3}\])+$`)

func FuzzCompose(f *testing.F) {
	f.Add("a: {b: 1}", `{"a":{"b":2}}`, "a.b", "x", false)
	f.Add("l: [{a: 1}, 2]", `{"l":[1]}`, "l[1].a", "{a,b}", false)
	f.Add("a: &x {b: *x}", `null`, `a\.b[0][1].c`, "'12'", true)
	f.Add("{}", `[]`, ".", "a,b.c=d", false)
	f.Add("\tx", `{"":{"":0}}`, "..[0]", "{", false)
	f.Fuzz(func(t *testing.T, document, raw, path, value string, literal bool) {
		if path != "" && (!targetPath.MatchString(path) || len(path) > 250) || !json.Valid([]byte(raw)) {
			t.Skip("the API server refuses that")
		}
		const secret = "hunter2-hunter2"
		read := &objects{data: map[string]map[string]string{"Secret/one": {"values.yaml": document, "v": value + secret}}}
		spec := values.Spec{Namespace: "apps", Inline: &apiextensionsv1.JSON{Raw: []byte(raw)}, From: []meta.ValuesReference{
			{Kind: "Secret", Name: "one"},
			{Kind: "Secret", Name: "one", ValuesKey: "v", TargetPath: path, Literal: literal},
		}}
		got, err := values.Compose(t.Context(), spec, read)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("the error has a value: %v", err)
		}
		again, errAgain := values.Compose(t.Context(), spec, read)
		if diff := cmp.Diff(got, again); diff != "" || (err == nil) != (errAgain == nil) {
			t.Fatalf("composed twice: %v, %v; %s", err, errAgain, diff)
		}
		if string(spec.Inline.Raw) != raw {
			t.Fatalf("inline values became %s", spec.Inline.Raw)
		}
		if err != nil {
			return
		}
		sum := values.Digest(digest.SHA256, got)
		if !values.Matches(sum, again) {
			t.Fatalf("digests of the same values differ: %v", got)
		}
		checkStored(t, got, sum)
	})
}

// checkStored expects values to have the same digest after a while in Helm's storage.
func checkStored(t *testing.T, v map[string]any, sum string) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("values cannot be stored: %v", err)
	}
	var stored map[string]any
	if err := json.Unmarshal(data, &stored); err != nil {
		t.Fatal(err)
	}
	if values.Digest(digest.SHA256, stored) != sum && !lossy(v) {
		t.Errorf("values have another digest after they were stored: %s", data)
	}
}

// lossy reports whether a value has what JSON does not keep: large whole numbers, and
// bytes that are no text.
func lossy(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if lossy(key) || lossy(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, lossy)
	case int64:
		return int64(float64(value)) != value
	case string:
		return !utf8.ValidString(value)
	}
	return false
}

// TestWithin: Helm puts values over those of the release before if it is asked to.
func TestWithin(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why         string
		part, whole string
		want        bool
	}{
		"nothing":               {whole: "{a: 1}", want: true},
		"the same":              {part: "{a: 1, b: {c: x}}", whole: "{a: 1, b: {c: x}}", want: true},
		"over more":             {part: "{b: {c: x}}", whole: "{a: 1, b: {c: x, d: y}}", want: true},
		"another value":         {part: "{a: 1}", whole: "{a: 2}"},
		"another inner value":   {part: "{b: {c: x}}", whole: "{b: {c: y}}"},
		"a value that is gone":  {part: "{a: 1}", whole: "{}"},
		"a list":                {why: "it is replaced whole", part: "{a: [1]}", whole: "{a: [1, 2]}"},
		"the same list":         {part: "{a: [1, {b: c}]}", whole: "{a: [1, {b: c}]}", want: true},
		"a map over a value":    {part: "{a: {b: c}}", whole: "{a: x}"},
		"a null":                {why: "what it took away is gone", part: "{a: null}", whole: "{b: 1}", want: true},
		"a null that is stored": {part: "{a: null}", whole: "{a: null}", want: true},
		"a null in vain":        {part: "{a: null}", whole: "{a: 1}"},
		"text and number":       {part: "{a: '1'}", whole: "{a: 1}"},
	}
	read := func(text string) map[string]any {
		var out map[string]any
		if err := yaml.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, tc := range tests {
		if got := values.Within(read(tc.part), read(tc.whole)); got != tc.want {
			t.Errorf("%s: Within = %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
	if !values.Within(map[string]any{"a": int64(3)}, map[string]any{"a": 3.0}) {
		t.Error("a number that was stored and read again is another")
	}
}
