// Package mask takes out of texts what must not be shown: values of Secrets, which the API
// server repeats when it refuses them, templates quote when they fail, and charts and builds
// write into other objects.
//
// A value is known in the forms in which others write it, see Forms. Who makes something else
// of it, such as a hash, is not found out.
package mask

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// Mark is shown in the place of what is not to be shown.
	Mark = "***"
	// telling is how many bytes a text must have to be masked wherever it stands. A shorter
	// one, such as "on" or "80", stands in any text by chance.
	telling = 4
)

// Mask hides texts that are not to be shown. The zero value hides nothing.
type Mask struct {
	anywhere []string // the longest first, for one may be part of another
	short    func(string) string
}

// New returns a Mask of texts. Short ones are hidden where they are quoted.
func New(texts ...string) Mask {
	m, short := masked(texts)
	var pairs []string
	for _, text := range short {
		for _, quote := range []string{"'", `"`, "`"} {
			pairs = append(pairs, quote+text+quote, quote+Mark+quote)
		}
	}
	if len(pairs) > 0 {
		m.short = strings.NewReplacer(pairs...).Replace
	}
	return m
}

// NewStrict returns a Mask of texts that hides short ones wherever they are words. It is for
// what is said about these texts and little else.
func NewStrict(texts ...string) Mask {
	m, short := masked(texts)
	var words []*regexp.Regexp
	for _, text := range short {
		word, err := regexp.Compile(`(^|[^\pL\pN])` + regexp.QuoteMeta(text) + `($|[^\pL\pN])`)
		if err == nil { // bytes that are no text cannot stand in one
			words = append(words, word)
		}
	}
	m.short = func(s string) string {
		for _, word := range words {
			s = word.ReplaceAllString(s, "${1}"+Mark+"${2}")
		}
		return s
	}
	return m
}

// masked returns a Mask of the texts that are hidden anywhere, and the others.
func masked(texts []string) (m Mask, short []string) {
	for _, text := range texts {
		for _, form := range Forms(text) {
			switch {
			case strings.TrimSpace(form) == "":
			case len(strings.TrimSpace(form)) >= telling:
				m.anywhere = append(m.anywhere, form)
			case form == text, form == strings.TrimSpace(text):
				short = append(short, form)
			}
		}
	}
	longestFirst := func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }
	slices.SortFunc(m.anywhere, longestFirst)
	slices.SortFunc(short, longestFirst)
	m.anywhere = slices.Compact(m.anywhere)
	return m, slices.Compact(short)
}

// Text returns a text without what is not to be shown.
func (m Mask) Text(s string) string {
	for _, secret := range m.anywhere {
		s = strings.ReplaceAll(s, secret, Mark)
	}
	if m.short != nil {
		s = m.short(s)
	}
	return s
}

// Error returns an error whose text has nothing that is not to be shown. errors.Is and As see
// err.
func (m Mask) Error(err error) error {
	if err == nil {
		return nil
	}
	return Say(err, m.Text(err.Error()))
}

// Say returns err with another text, in which nothing is shown that must not be. errors.Is
// and As see err.
func Say(err error, text string) error {
	if text == err.Error() {
		return err
	}
	return &maskedError{text: text, err: err}
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// Forms returns the forms in which a text may be repeated: as it is, each line of it, as Go
// and JSON quote it, escaped for a URL, and in base64, by itself or in the middle of more.
func Forms(text string) []string {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil
	}
	out := []string{text, url.QueryEscape(trimmed), url.PathEscape(trimmed), url.User(trimmed).String()}
	for _, part := range append(strings.Split(trimmed, "\n"), trimmed) {
		part = strings.TrimSpace(part)
		out = append(out, part, quoted(part), inJSON(part))
	}
	out = append(out, inBase64(trimmed)...)
	if text != trimmed {
		out = append(out, inBase64(text)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// quoted returns a text as Go writes it between quotes.
func quoted(text string) string {
	q := strconv.Quote(text)
	return q[1 : len(q)-1]
}

// inJSON returns a text as JSON writes it between quotes.
func inJSON(text string) string {
	q, err := json.Marshal(text)
	if err != nil {
		return text
	}
	return string(q[1 : len(q)-1])
}

// inBase64 returns a text in base64, and what of that is the same whatever stands before and
// after the text: three bytes become four digits, so that depends on where the text begins.
func inBase64(text string) []string {
	if len(text) < telling {
		return nil
	}
	out := []string{base64.StdEncoding.EncodeToString([]byte(text)), base64.RawStdEncoding.EncodeToString([]byte(text))}
	for before := range 3 {
		digits := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), text...))
		from := (before*8 + 5) / 6         // the first digit that has no bit of what is before
		to := (before + len(text)) * 8 / 6 // the first that has bits of what is after
		out = append(out, digits[from:to])
	}
	for _, digits := range slices.Clone(out) {
		if strings.ContainsAny(digits, "+/") {
			out = append(out, strings.NewReplacer("+", "-", "/", "_").Replace(digits)) // as in URLs
		}
	}
	return out
}

// Secret returns the values of a Secret, in plain text and in base64, and whatever else stands
// in their place.
func Secret(obj *unstructured.Unstructured) []string {
	out := append(leaves(obj.Object["data"]), leaves(obj.Object["stringData"])...)
	for _, value := range slices.Clone(out) {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			out = append(out, string(plain))
		}
	}
	return out
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
