package action

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	// masked is shown in the place of what is not to be shown.
	masked = "***"
	// telling is how long a text must be to be masked wherever it stands. One that is
	// shorter, such as "on" or "80", is masked where it is quoted.
	telling = 4
)

// mask hides texts that are not to be shown.
type mask struct {
	anywhere []string
	quoted   *strings.Replacer
}

// newMask returns a mask of what is sensitive.
func newMask(sensitive []string) mask {
	var m mask
	var pairs []string
	for _, text := range sensitive {
		if text == "" {
			continue
		}
		for _, part := range append(strings.Split(text, "\n"), text, escaped(text)) {
			if part = strings.TrimSpace(part); len(part) >= telling {
				m.anywhere = append(m.anywhere, part)
			}
		}
		if len(text) < telling {
			pairs = append(pairs, "'"+text+"'", "'"+masked+"'", `"`+text+`"`, `"`+masked+`"`, "`"+text+"`", "`"+masked+"`")
		}
	}
	slices.SortFunc(m.anywhere, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	m.anywhere = slices.Compact(m.anywhere)
	m.quoted = strings.NewReplacer(pairs...)
	return m
}

// escaped returns a text as it stands between quotes.
func escaped(text string) string {
	q := strconv.Quote(text)
	return q[1 : len(q)-1]
}

// text returns a text without what is sensitive.
func (m mask) text(s string) string {
	for _, secret := range m.anywhere {
		s = strings.ReplaceAll(s, secret, masked)
	}
	return m.quoted.Replace(s)
}

// error returns an error whose text has nothing that is sensitive, and is the same each time.
func (m mask) error(err error) error {
	text := m.text(steady(err.Error()))
	if text == err.Error() {
		return err
	}
	return maskedError{text: text, err: err}
}

// maskedError is an error of which the text is not to be shown.
type maskedError struct {
	text string
	err  error
}

func (e maskedError) Error() string { return e.text }

func (e maskedError) Unwrap() error { return e.err }

// Sensitive returns the texts in values that must not be shown, if these come from
// Secrets: all that is no map and no list.
func Sensitive(values map[string]any) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, sensitive(values[key])...)
	}
	return out
}

func sensitive(value any) []string {
	switch v := value.(type) {
	case nil, bool:
		return nil // that tells nothing
	case map[string]any:
		return Sensitive(v)
	case []any:
		var out []string
		for _, element := range v {
			out = append(out, sensitive(element)...)
		}
		return out
	case float64:
		return numbers(v)
	case int:
		return numbers(float64(v), strconv.Itoa(v))
	case int64:
		return numbers(float64(v), strconv.FormatInt(v, 10))
	default:
		return []string{fmt.Sprint(v)}
	}
}

// numbers returns the texts that a number may stand as: templates and errors write large
// ones with an exponent, and YAML does without.
func numbers(n float64, more ...string) []string {
	out := append(more, fmt.Sprint(n), strconv.FormatFloat(n, 'f', -1, 64))
	slices.Sort(out)
	return slices.Compact(out)
}

// SensitiveText returns what must not be shown of an entry of a Secret: the entry, or, if
// that is a document of values, each of these. An entry of one line may be either.
func SensitiveText(entry string) []string {
	var doc map[string]any
	if yaml.Unmarshal([]byte(entry), &doc) != nil || len(doc) == 0 {
		if n, err := strconv.ParseFloat(strings.TrimSpace(entry), 64); err == nil {
			return numbers(n, entry)
		}
		return []string{entry}
	}
	out := Sensitive(doc)
	if entry = strings.TrimSpace(entry); strings.Contains(entry, "\n") {
		return out // lines of it may stand in any text
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		if doc[key] == nil { // as in a password such as "{abc}"
			out = append(out, key)
		}
	}
	return append(out, entry)
}

// steady sorts what a schema has to say, which the SDK tells in any order: a message that
// differs from the last one would be news each time.
func steady(text string) string {
	const violation = "- at "
	lines := strings.Split(text, "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && strings.HasPrefix(lines[to], violation) {
			to++
		}
		slices.Sort(lines[from:to])
		from = max(from, to)
	}
	return strings.Join(lines, "\n")
}
