package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/build"
)

// Mask stands in the place of a value that SOPS has encrypted.
const Mask = "**SOPS**"

// jsonMask stands for values of which the API server wants to be sure that they are JSON.
const jsonMask = `{"` + Mask + `":{}}`

// maskOf returns what stands in the place of a value of a Secret.
func maskOf(key string) string {
	if key == corev1.DockerConfigJsonKey || key == corev1.DockerConfigKey {
		return jsonMask
	}
	return Mask
}

// encrypted is how SOPS marks a value.
const encrypted = "ENC["

// concealer is a build.Decrypter that has no keys: it leaves out what is encrypted, and the
// marks of SOPS.
type concealer struct{}

// Decrypt implements build.Decrypter.
func (concealer) Decrypt(document []byte, from, to build.Format) ([]byte, error) {
	switch from {
	case build.JSON, build.YAML:
		if to == build.Binary { // the file itself is what is encrypted
			return []byte(Mask), nil
		}
		return concealDocument(document, to)
	case build.Dotenv, build.INI:
		return concealLines(document), nil
	default:
		return []byte(Mask), nil
	}
}

// concealDocument conceals the values of a document of JSON or YAML.
func concealDocument(document []byte, to build.Format) ([]byte, error) {
	var content map[string]any
	if err := yaml.Unmarshal(document, &content); err != nil { // which is a superset of JSON
		return nil, errors.New("the document is no map") // the error of the parser may quote it
	}
	delete(content, "sops")
	for key, value := range content {
		values, ok := value.(map[string]any)
		if !ok || content["kind"] != "Secret" || key != "data" && key != "stringData" {
			content[key] = conceal(value, Mask)
			continue
		}
		for name, value := range values {
			mask := maskOf(name)
			if key == "data" {
				mask = base64.StdEncoding.EncodeToString([]byte(mask))
			}
			values[name] = conceal(value, mask)
		}
	}
	if to == build.YAML {
		return yaml.Marshal(content)
	}
	return json.Marshal(content)
}

// conceal returns a value with a mask in the place of all that is encrypted.
func conceal(value any, mask string) any {
	switch v := value.(type) {
	case string:
		if strings.HasPrefix(v, encrypted) {
			return mask
		}
	case map[string]any:
		for key, inner := range v {
			v[key] = conceal(inner, mask)
		}
	case []any:
		for i, inner := range v {
			v[i] = conceal(inner, mask)
		}
	}
	return value
}

// concealLines conceals the values of a document of lines, and leaves out what SOPS has
// added.
func concealLines(document []byte) []byte {
	var out []string
	for line := range strings.Lines(string(document)) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "[sops]" { // the last section
			break
		}
		if strings.HasPrefix(trimmed, "sops_") {
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.TrimSpace(value), encrypted) {
			line = key + "=" + Mask + "\n"
		}
		out = append(out, line)
	}
	return []byte(strings.Join(out, ""))
}

// Values of a Secret as they are shown: whether they are the same, and not what they are.
const (
	same   = "***"
	before = "*** (before)"
	after  = "*** (after)"
)

// concealBoth hides what nobody should see of an object as it is and as it would be: the
// values of a Secret, and what stands in the place of values that are encrypted.
func concealBoth(was, would *unstructured.Unstructured) {
	if AnyMask(would.Object) {
		was.Object = unmasked(was.Object, would.Object)
		hideOthers(was.Object, would.Object)
	}
	if was.GetKind() != "Secret" || was.GroupVersionKind().Group != "" {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		old, _, _ := unstructured.NestedMap(was.Object, field)
		young, _, _ := unstructured.NestedMap(would.Object, field)
		for key, value := range old {
			switch other, both := young[key]; {
			case both && other == value:
				old[key], young[key] = same, same
			case both:
				old[key], young[key] = before, after
			default:
				old[key] = before
			}
		}
		for key := range young {
			if _, both := old[key]; !both {
				young[key] = after
			}
		}
		set(was, field, old)
		set(would, field, young)
	}
}

func set(obj *unstructured.Unstructured, field string, values map[string]any) {
	if values != nil {
		obj.Object[field] = values
	}
}

// isMask reports whether a value stands in the place of an encrypted one.
func isMask(value any) bool {
	text, ok := value.(string)
	if !ok {
		return false
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(plain)
	}
	return text == Mask || text == jsonMask
}

// AnyMask reports whether there is a mask anywhere in a value.
func AnyMask(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			if AnyMask(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, AnyMask)
	}
	return isMask(value)
}

// hideOthers hides what an object has that is in part encrypted in the source, where that is
// not in it as well: it may have been encrypted, too. What names the object stays.
func hideOthers(was, would map[string]any) {
	for key, value := range was {
		if other, both := would[key]; key != "metadata" && key != "kind" && key != "apiVersion" {
			was[key] = hidden(value, other, both)
		}
	}
}

// hidden returns a value with only that of it to be seen that the other has as well.
func hidden(value, other any, both bool) any {
	switch v := value.(type) {
	case map[string]any:
		theirs, _ := other.(map[string]any)
		for key, inner := range v {
			otherInner, both := theirs[key]
			v[key] = hidden(inner, otherInner, both)
		}
	case []any:
		theirs, _ := other.([]any)
		for i, inner := range v {
			var otherInner any
			if i < len(theirs) {
				otherInner = theirs[i]
			}
			v[i] = hidden(inner, otherInner, i < len(theirs))
		}
	default:
		if !both || value != other {
			return same
		}
	}
	return value
}

// unmasked returns a map as it is, with a mask wherever it would have one: what is encrypted
// counts as what the cluster has.
func unmasked(was, would map[string]any) map[string]any {
	for key, value := range would {
		old, both := was[key]
		if !both {
			continue
		}
		switch v := value.(type) {
		case string:
			if isMask(v) {
				was[key] = value
			}
		case map[string]any:
			if inner, ok := old.(map[string]any); ok {
				was[key] = unmasked(inner, v)
			}
		case []any:
			if list, ok := old.([]any); ok && len(list) == len(v) {
				for i := range v {
					inner, isMap := v[i].(map[string]any)
					oldInner, wasMap := list[i].(map[string]any)
					switch {
					case isMap && wasMap:
						list[i] = unmasked(oldInner, inner)
					case isMask(v[i]):
						list[i] = v[i]
					}
				}
			}
		}
	}
	return was
}
