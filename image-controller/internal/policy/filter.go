package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	imagev1 "weir.dev/api/image/v1"
)

// filter lets tags through, and says by what they are compared. A nil one lets all
// through as they are.
type filter struct {
	pattern *regexp.Regexp
	prefix  string // of all tags that match
	extract string // empty: the tag itself
}

func newFilter(spec *imagev1.TagFilter) (*filter, error) {
	if spec == nil {
		return nil, nil
	}
	pattern, err := regexp.Compile(spec.Pattern)
	if err != nil {
		return nil, fmt.Errorf("%w: spec.filterTags.pattern %q: %w", ErrInvalid, shortened(spec.Pattern), err)
	}
	return &filter{pattern: pattern, prefix: prefixOf(spec.Pattern), extract: spec.Extract}, nil
}

// prefixOf returns what all texts begin with that a pattern matches, as far as that is
// written at the beginning of the pattern, after a "^".
func prefixOf(pattern string) string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || parsed.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	next := parsed.Sub[1]
	if next.Op != syntax.OpLiteral || next.Flags&syntax.FoldCase != 0 {
		return ""
	}
	if slices.Contains(next.Rune, utf8.RuneError) {
		return "" // it also matches bytes that are no text
	}
	return string(next.Rune)
}

// parts are what a filter consists of.
func (f *filter) parts() []string {
	if f == nil {
		return nil
	}
	return []string{f.pattern.String(), f.extract}
}

// match reports whether a tag is let through.
func (f *filter) match(tag string) bool { return f == nil || f.pattern.MatchString(tag) }

// within returns those of some tags that may be let through.
func (f *filter) within(ascending []string) []string {
	if f == nil || f.prefix == "" {
		return ascending
	}
	from, _ := slices.BinarySearch(ascending, f.prefix)
	rest := ascending[from:]
	return rest[:sort.Search(len(rest), func(i int) bool { return !strings.HasPrefix(rest[i], f.prefix) })]
}

// extracts reports whether tags are compared by something else than themselves.
func (f *filter) extracts() bool { return f != nil && f.extract != "" }

// keys calls use with the tags that are let through and what they are compared by, until
// it returns false. The key is made in a buffer that is used again.
func (f *filter) keys(ascending []string, use func(tag string, key []byte) bool) {
	var key []byte
	for _, tag := range f.within(ascending) {
		found := f.pattern.FindStringSubmatchIndex(tag)
		if found == nil {
			continue
		}
		key = f.pattern.ExpandString(key[:0], f.extract, tag, found)
		if !use(tag, key) {
			return
		}
	}
}

// String tells what the filter is, for people.
func (f *filter) String() string {
	return fmt.Sprintf("spec.filterTags.pattern %q", shortened(f.pattern.String()))
}

// shortened keeps messages readable.
func shortened(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
