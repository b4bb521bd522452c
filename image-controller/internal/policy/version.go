package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// versions is the order of semantic versions, within a range.
type versions struct {
	text   string
	within *semver.Constraints
	bounds bounds
}

func newVersionOrder(text string) (order, error) {
	within, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("%w: spec.policy.semver.range %q: %w", ErrInvalid, shortened(text), err)
	}
	return versions{text: text, within: within, bounds: boundsOf(within)}, nil
}

func (o versions) String() string { return "semver " + o.text }

func (o versions) latest(t *Tags, f *filter) (string, error) {
	if f.extracts() {
		return o.latestExtracted(t, f)
	}
	for _, c := range slices.Backward(o.bounds.cut(t.versions().in)) {
		if o.has(c.key) && f.match(c.tag) {
			return c.tag, nil
		}
	}
	return "", o.noMatch(countVersions(t, f))
}

func (o versions) latestExtracted(t *Tags, f *filter) (string, error) {
	var last best[*version]
	f.keys(t.names(), func(tag string, key []byte) bool {
		if v, ok := parseVersion(string(key)); ok && o.has(v) {
			last.offer(candidate[*version]{key: v, tag: tag}, false, (*version).compare)
		}
		return true
	})
	if !last.found {
		return "", o.noMatch(countVersions(t, f))
	}
	return last.tag, nil
}

// has reports whether a version is in the range. The library is asked last, because it
// words a reason for each version that is not.
func (o versions) has(v *version) bool {
	return o.bounds.may(v) && o.within.Check(&v.Version)
}

// noMatch says why no version is selected.
func (o versions) noMatch(n tally) error {
	if n.matched == 0 {
		return n.noTags()
	}
	text := fmt.Sprintf("%s, versions of three numbers: %d", n, n.parsed)
	if n.prereleases > 0 && !o.bounds.prereleases {
		text += fmt.Sprintf(" (pre-releases: %d; only a range with a pre-release, such as >=1.0.0-0, has any)", n.prereleases)
	}
	if n.parsed > 0 {
		text += fmt.Sprintf(", in the range %q: 0", shortened(o.text))
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, text)
}

// version is a semantic version.
type version struct{ semver.Version }

// parseVersion reads a version of exactly three numbers, which may have a "v" before it.
func parseVersion(text string) (*version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return nil, false
	}
	return &version{*v}, true
}

// compare compares by precedence. Versions that have the same are told apart by their
// build metadata, as if those were pre-releases, so that build 10 comes after build 9.
func (v *version) compare(w *version) int {
	if by := v.Compare(&w.Version); by != 0 || v.Metadata() == w.Metadata() {
		return by
	}
	if v.Metadata() == "" || w.Metadata() == "" {
		return cmp.Compare(len(v.Metadata()), len(w.Metadata()))
	}
	return semver.New(0, 0, 0, v.Metadata(), "").Compare(semver.New(0, 0, 0, w.Metadata(), ""))
}
