package apply

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
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
		if len(value) >= distinct {
			text = strings.ReplaceAll(text, value, mask)
			continue
		}
		word := regexp.MustCompile(`(^|[^\pL\pN])` + regexp.QuoteMeta(value) + `($|[^\pL\pN])`)
		text = word.ReplaceAllString(text, "${1}"+mask+"${2}")
	}
	return &maskedError{text: text, err: err}
}

// secrets returns the values of a Secret in all forms in which they may be repeated,
// the longest first, for one may be part of another.
func secrets(obj *unstructured.Unstructured) []string {
	var out []string
	for _, field := range []string{"data", "stringData"} {
		values, _ := obj.Object[field].(map[string]any)
		for _, v := range values {
			text := fmt.Sprint(v)
			out = append(out, text)
			if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
				out = append(out, string(plain))
			}
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return strings.TrimSpace(s) == "" })
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out)
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
