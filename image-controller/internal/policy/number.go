package policy

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// numbers is the order of numbers. All candidates have to be numbers.
type numbers struct{ descending bool }

func (o numbers) String() string { return fmt.Sprintf("numerical, descending: %t", o.descending) }

func (o numbers) latest(t *Tags, f *filter) (string, error) {
	if f.extracts() {
		return o.latestExtracted(t, f)
	}
	all := t.numbers()
	for _, tag := range f.within(all.out) {
		if f.match(tag) {
			return "", fmt.Errorf("tag %q is %w, and a numerical policy needs nothing but numbers: %s", shortened(tag), ErrNotNumber, countNumbers(t, f))
		}
	}
	for _, c := range walk(all.in, o.descending) {
		if f.match(c.tag) {
			return c.tag, nil
		}
	}
	return "", tally{tags: len(t.list), filter: f}.noTags()
}

func (o numbers) latestExtracted(t *Tags, f *filter) (string, error) {
	var last best[numericalKey]
	var bad error
	f.keys(t.names(), func(tag string, key []byte) bool {
		number, ok := parseNumber(string(key))
		if !ok {
			bad = fmt.Errorf("%q, of tag %q, is %w, and a numerical policy needs nothing but numbers: %s",
				shortened(string(key)), shortened(tag), ErrNotNumber, countNumbers(t, f))
			return false
		}
		last.offer(candidate[numericalKey]{key: number, tag: tag}, o.descending, numericalKey.compare)
		return true
	})
	switch {
	case bad != nil:
		return "", bad
	case !last.found:
		return "", tally{tags: len(t.list), filter: f}.noTags()
	default:
		return last.tag, nil
	}
}

// numericalKey is a number.
type numericalKey struct {
	value float64
	// digits are those of a number that has nothing else, without leading zeros. They
	// tell large numbers apart, such as times to the microsecond, that a float does not.
	digits string
}

// parseNumber reads a number. What is no amount, such as "NaN" and "inf", is none.
func parseNumber(text string) (numericalKey, bool) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return numericalKey{}, false
	}
	n := numericalKey{value: value}
	if strings.Trim(text, "0123456789") == "" {
		n.digits = strings.TrimLeft(text, "0")
	}
	return n, true
}

func (n numericalKey) compare(m numericalKey) int {
	return cmp.Or(cmp.Compare(n.value, m.value), cmp.Compare(len(n.digits), len(m.digits)), strings.Compare(n.digits, m.digits))
}
