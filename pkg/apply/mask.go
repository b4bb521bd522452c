package apply

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	mask = "***"
	// distinct is the number of bytes from which on a value is replaced wherever it
	// stands. A shorter one stands in any text by chance, so it must be a word.
	distinct = 4
)

// masked returns an error whose text has none of the values of obj, if that is a
// Secret: the API server repeats values that it refuses. errors.Is and As see err.
func masked(err error, obj *unstructured.Unstructured) error {
	if err == nil || obj.GetKind() != "Secret" || obj.GroupVersionKind().Group != "" {
		return err
	}
	text := err.Error()
	for _, value := range secrets(obj) {
		text = replace(text, value)
	}
	return &maskedError{text: text, err: err}
}

// replace puts the mask in the place of value. A short one stands in any text by
// chance, so it must be a word.
func replace(text, value string) string {
	if len(value) >= distinct {
		return strings.ReplaceAll(text, value, mask)
	}
	word, err := regexp.Compile(`(^|[^\pL\pN])` + regexp.QuoteMeta(value) + `($|[^\pL\pN])`)
	if err != nil {
		return text // bytes that are no text: they cannot stand in one
	}
	return word.ReplaceAllString(text, "${1}"+mask+"${2}")
}

// secrets returns the values of a Secret in all forms in which they may be repeated,
// the longest first, for one may be part of another.
func secrets(obj *unstructured.Unstructured) []string {
	out := append(leaves(obj.Object["data"]), leaves(obj.Object["stringData"])...)
	for _, value := range slices.Clone(out) {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			out = append(out, string(plain))
		}
	}
	for _, value := range slices.Clone(out) {
		quoted := strconv.Quote(value)
		out = append(out, quoted[1:len(quoted)-1])
	}
	out = slices.DeleteFunc(out, func(s string) bool { return strings.TrimSpace(s) == "" })
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(out)
}

// leaves returns the values in v, which need not be where they belong.
func leaves(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			out = append(out, leaves(child)...)
		}
	case []any:
		for _, child := range v {
			out = append(out, leaves(child)...)
		}
	case nil:
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
