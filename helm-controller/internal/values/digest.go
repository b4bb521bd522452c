package values

import (
	"cmp"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	goyaml "go.yaml.in/yaml/v2"
	"sigs.k8s.io/yaml"
)

// Digest identifies values: it is that of them as YAML, with the keys of all maps sorted,
// or that of nothing when there are none. It does not tell one type of a whole number from
// another, so values that were stored as JSON and read again have the same.
func Digest(algo digest.Algorithm, values map[string]any) string {
	sum := algo.Digester()
	if err := encode(sum.Hash(), values); err != nil {
		return ""
	}
	return sum.Digest().String()
}

// Matches reports whether a digest, of whichever algorithm, is that of values.
func Matches(sum string, values map[string]any) bool {
	d := digest.Digest(sum)
	if d.Validate() != nil {
		return false
	}
	return Digest(d.Algorithm(), values) == sum
}

// Within reports whether values are in others that they were merged over, as Helm does it
// with those of the release before. A null takes away what was there.
func Within(part, whole map[string]any) bool {
	for key, want := range part {
		have, ok := whole[key]
		inner, isMap := want.(map[string]any)
		among, hasMap := have.(map[string]any)
		switch {
		case want == nil:
			if ok && have != nil {
				return false
			}
		case isMap && hasMap:
			if !Within(inner, among) {
				return false
			}
		case !ok || Digest(digest.Canonical, map[string]any{key: want}) != Digest(digest.Canonical, map[string]any{key: have}):
			return false
		}
	}
	return true
}

// encode writes values as they are digested.
func encode(w io.Writer, values map[string]any) error {
	if len(values) == 0 {
		return nil
	}
	document := yaml.JSONObjectToYAMLObject(values)
	sorted(document)
	return goyaml.NewEncoder(w).Encode(document)
}

// sorted sorts the keys of all maps in a value.
func sorted(value any) {
	switch value := value.(type) {
	case goyaml.MapSlice:
		slices.SortFunc(value, func(a, b goyaml.MapItem) int {
			return cmp.Compare(a.Key.(string), b.Key.(string))
		})
		for _, item := range value {
			sorted(item.Value)
		}
	case []any:
		for _, element := range value {
			sorted(element)
		}
	}
}
