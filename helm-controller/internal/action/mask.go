package action

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/mask"
)

// Mask returns what hides in a text what is sensitive; see Sensitive.
func Mask(sensitive []string) func(string) string { return mask.New(sensitive...).Text }

// Masked returns an error whose text has nothing that is sensitive, and is the same each time.
func Masked(err error, sensitive []string) error { return said(err, mask.New(sensitive...)) }

// said returns an error as a mask leaves it, and in words that are the same each time.
func said(err error, m mask.Mask) error {
	if err == nil {
		return nil
	}
	return mask.Say(err, m.Text(steady(err.Error())))
}

// hide adds to what is not to be shown the values of a stored release that the present ones
// are unlike: they may be those of a Secret that has changed since, or is gone.
func (d *deed) hide(stored map[string]any) {
	fromSecret := func(ref meta.ValuesReference) bool { return ref.Kind == "Secret" }
	if slices.ContainsFunc(d.in.HelmRelease.Spec.ValuesFrom, fromSecret) {
		d.in.Sensitive = slices.Concat(d.in.Sensitive, unlike(stored, d.in.Values))
		d.mask = mask.New(d.in.Sensitive...)
	}
}

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

// unlike returns what of stored values the present ones do not have.
func unlike(stored, present any) []string {
	fields, ok := stored.(map[string]any)
	if !ok {
		if texts := sensitive(stored); !slices.Equal(texts, sensitive(present)) {
			return texts
		}
		return nil
	}
	now, _ := present.(map[string]any)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, unlike(fields[key], now[key])...)
	}
	return out
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
