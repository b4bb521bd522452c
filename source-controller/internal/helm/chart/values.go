package chart

import (
	"fmt"
	"maps"

	"sigs.k8s.io/yaml"
)

// ParseValues reads a values file. An empty one has no values.
func ParseValues(text []byte) (map[string]any, error) {
	values := make(map[string]any)
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return values, nil
}

// MergeValues returns a with b over it: mappings are merged, all else is replaced.
// Neither is changed.
func MergeValues(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = make(map[string]any, len(b))
	}
	for key, value := range b {
		under, isMap := out[key].(map[string]any)
		over, bothMaps := value.(map[string]any)
		if isMap && bothMaps {
			out[key] = MergeValues(under, over)
			continue
		}
		out[key] = value
	}
	return out
}

// marshalValues writes values with their keys in order.
func marshalValues(values map[string]any) ([]byte, error) {
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("writing values: %w", err)
	}
	return text, nil
}
