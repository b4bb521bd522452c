package policy

import (
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// bounds are numbers that no version of a range is outside of. A range has versions
// between its bounds that are not in it, but none beyond.
type bounds struct {
	low, high   triple
	prereleases bool // whether the range may have pre-releases
}

// triple are the three numbers of a version.
type triple [3]uint64

func (t triple) compare(u triple) int { return slices.Compare(t[:], u[:]) }

// none is above all numbers of versions that are in use, and below nothing.
var none = triple{math.MaxUint64, math.MaxUint64, math.MaxUint64}

// term is one condition of a range: an operator, up to three numbers, and a pre-release.
var term = regexp.MustCompile(`^([=!<>~^]*)v?([0-9xX*]+)(?:\.([0-9xX*]+))?(?:\.([0-9xX*]+))?(-)?`)

// boundsOf returns the bounds of a range. Of its alternatives it takes the widest.
func boundsOf(within *semver.Constraints) bounds {
	all := bounds{low: none}
	for group := range strings.SplitSeq(within.String(), "||") {
		b := bounds{high: none}
		for text := range strings.FieldsSeq(group) {
			low, high, prerelease := limits(text)
			b.low = slices.MaxFunc([]triple{b.low, low}, triple.compare)
			b.high = slices.MinFunc([]triple{b.high, high}, triple.compare)
			b.prereleases = b.prereleases || prerelease
		}
		all.low = slices.MinFunc([]triple{all.low, b.low}, triple.compare)
		all.high = slices.MaxFunc([]triple{all.high, b.high}, triple.compare)
		all.prereleases = all.prereleases || b.prereleases
	}
	return all
}

// limits returns the bounds of one term.
func limits(text string) (low, high triple, prerelease bool) {
	m := term.FindStringSubmatch(text)
	if m == nil {
		return triple{}, none, true // unknown, so that nothing is left out
	}
	var from triple
	given := 0
	for ; given < len(from); given++ {
		n, err := strconv.ParseUint(m[2+given], 10, 64)
		if err != nil {
			break // a wildcard, or nothing
		}
		from[given] = n
	}
	prerelease = m[5] != ""
	switch op := m[1]; {
	case given == 0, op == "!=":
		return triple{}, none, prerelease
	case op == ">", op == ">=", op == "=>":
		return from, none, prerelease
	case op == "<":
		return triple{}, from, prerelease
	case op == "<=", op == "=<":
		return triple{}, upTo(from, given), prerelease
	case op == "^":
		return from, upTo(from, 1), prerelease
	case given == len(from) && (op == "" || op == "="):
		return from, from, prerelease
	case given == len(from) && from == triple{}: // what ~0.0.0 means is everything
		return triple{}, none, prerelease
	default: // a tilde, or what means the same
		return from, upTo(from, min(given, 2)), prerelease
	}
}

// upTo returns the highest numbers whose first ones are those of t.
func upTo(t triple, given int) triple {
	for i := given; i < len(t); i++ {
		t[i] = math.MaxUint64
	}
	return t
}

// may reports whether a version may be in the range.
func (b bounds) may(v *version) bool {
	at := v.triple()
	return (b.prereleases || v.Prerelease() == "") && at.compare(b.low) >= 0 && at.compare(b.high) <= 0
}

// cut returns the candidates that are within the bounds.
func (b bounds) cut(ascending []candidate[*version]) []candidate[*version] {
	from := sort.Search(len(ascending), func(i int) bool { return ascending[i].key.triple().compare(b.low) >= 0 })
	rest := ascending[from:]
	return rest[:sort.Search(len(rest), func(i int) bool { return rest[i].key.triple().compare(b.high) > 0 })]
}

func (v *version) triple() triple { return triple{v.Major(), v.Minor(), v.Patch()} }
