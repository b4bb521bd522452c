package policy_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	masterminds "github.com/Masterminds/semver/v3"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/policy"
)

// FuzzFilter: a filter lets through what its pattern matches, and what is selected is
// always one of the tags.
func FuzzFilter(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "", "latest"},
		{`^main-[a-f0-9]+-(?P<ts>[0-9]+)$`, "$ts", "main-0a-17\nmain-0b-9\nlatest"},
		{`^(v?)(\d+)`, "${2}x$1", "v1\n2\n3x"},
		{`(`, "$1", "a"},
		{`(a*)*`, "$0$$", "aaa\nb"},
		{`.*`, "${", "x\ny"},
		{`^$`, "$1", "\n"},
		{`\xff`, "$0", "\xff\n\xfe"},
		{"^\uFFFDa", "$0", "\xffa\nb"},
		{`(?i)RC`, "", "1-rc\n1-RC\n1"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, pattern, extract, lines string) {
		if len(pattern) > 1<<10 || len(extract) > 1<<10 || len(lines) > 1<<12 {
			return // no more is learnt
		}
		tags := strings.Split(lines, "\n")
		want, valid := modelAlphabetical(pattern, extract, tags)
		p, err := policy.Compile(imagev1.ImagePolicySpec{Policy: alphabetical("asc"), FilterTags: filter(pattern, extract)})
		if (err == nil) != valid {
			t.Fatalf("pattern %q: %v; want it accepted: %t", pattern, err, valid)
		}
		if !valid {
			return
		}
		got, err := p.Latest(tags)
		switch {
		case want == nil:
			if !errors.Is(err, policy.ErrNoTags) {
				t.Errorf("pattern %q, extract %q of %q: %q, %v; want that none is left", pattern, extract, tags, got, err)
			}
		case err != nil || got != *want:
			t.Errorf("pattern %q, extract %q of %q: %q, %v; want %q", pattern, extract, tags, got, err, *want)
		}
		for _, choice := range []imagev1.ImagePolicyChoice{alphabetical("desc"), numerical("asc"), numerical("desc"), semver("*")} {
			got, err := compile(t, choice, filter(pattern, extract)).Latest(tags)
			if err == nil && (!slices.Contains(tags, got) || !regexp.MustCompile(pattern).MatchString(got)) {
				t.Errorf("pattern %q, extract %q of %q: %q, which is none of those", pattern, extract, tags, got)
			}
		}
	})
}

// modelAlphabetical is the slow way to say what the alphabetical policy selects.
func modelAlphabetical(pattern, extract string, tags []string) (latest *string, valid bool) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, false
	}
	var key string
	for _, tag := range tags {
		found := re.FindStringSubmatchIndex(tag)
		if found == nil {
			continue
		}
		k := tag
		if extract != "" {
			k = string(re.ExpandString(nil, extract, tag, found))
		}
		if latest == nil || k > key || k == key && tag > *latest {
			key, latest = k, &tag
		}
	}
	return latest, true
}

// FuzzSemver: what is selected is what comes out of a look at every tag.
func FuzzSemver(f *testing.F) {
	for _, within := range []string{
		"*", "1.x", "x", ">=1.0.0", ">=1.0.0-0", "<2", "<=1", "<=1.2", ">1", ">1.1", "^0.2.3", "^0.0.3", "^0", "^0.0", "~0.0.0", "~0", "~1.2.3", "~1",
		"=1.2.3", "=1.2", "!=1.2.3", "1.2 - 1.4.5", "1.x || >=2.0.0-beta <3", ">=1.2.3, <2.0.0", "~1.2.3-beta || ^3", "<2.0.0-0", "v1.2", "*-0", "1.x-0", ">1 <1", "=x",
		"!=1.x", "<0.0.0", ">=18446744073709551615.0.0", "=>1", "=<1", "~>2.1",
	} {
		f.Add(within, "1.2.3\nv1.2.3\n1.2.4-beta\n2.0.0\n2.0.0-alpha\n0.0.0\n0.2.3\n0.0.3\n1.2.3+a\n1.2\n01.2.3\nlatest\n3.0.1\n2.1.7", "")
	}
	f.Add(">=1.0.0-0", "a-1.0.0\nb-1.0.0\nc-2.0.0-rc.1", "^.-(.*)$")
	f.Fuzz(func(t *testing.T, within, lines, pattern string) {
		if len(lines) > 1<<12 || len(pattern) > 1<<8 {
			return // no more is learnt
		}
		constraint, err := masterminds.NewConstraint(within)
		if err != nil {
			return
		}
		var tagFilter *imagev1.TagFilter
		if pattern != "" {
			if _, err := regexp.Compile(pattern); err != nil {
				return
			}
			tagFilter = filter(pattern, "$1")
		}
		tags := strings.Split(lines, "\n")
		want := modelSemver(constraint, tagFilter, tags)
		got, err := compile(t, semver(within), tagFilter).Latest(tags)
		if (err != nil) != (want == nil) || want != nil && got != *want {
			t.Errorf("in the range %q of %q: %q, %v; want %v", within, tags, got, err, want)
		}
		slices.Reverse(tags)
		if again, err := compile(t, semver(within), tagFilter).Latest(tags); again != got || (err != nil) != (want == nil) {
			t.Errorf("in the range %q of %q: %q, and backwards %q, %v", within, tags, got, again, err)
		}
	})
}

// modelSemver is the slow way to say what a range selects.
func modelSemver(within *masterminds.Constraints, f *imagev1.TagFilter, tags []string) (latest *string) {
	official := regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
		`(-((0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(\+([0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*))?$`)
	var best *masterminds.Version
	for _, tag := range tags {
		key := tag
		if f != nil {
			re := regexp.MustCompile(f.Pattern)
			found := re.FindStringSubmatchIndex(tag)
			if found == nil {
				continue
			}
			key = string(re.ExpandString(nil, f.Extract, tag, found))
		}
		if !official.MatchString(key) {
			continue
		}
		v, err := masterminds.NewVersion(key)
		if err != nil || len(strings.TrimPrefix(key, "v")) > masterminds.MaxVersionLen || !within.Check(v) {
			continue
		}
		if best == nil || v.GreaterThan(best) || v.Equal(best) && laterBuild(v, best, tag, *latest) {
			best, latest = v, &tag
		}
	}
	return latest
}

// laterBuild breaks the tie of two versions of the same precedence.
func laterBuild(v, best *masterminds.Version, tag, latest string) bool {
	build := func(v *masterminds.Version) *masterminds.Version {
		if v.Metadata() == "" {
			return masterminds.New(0, 0, 0, "", "")
		}
		return masterminds.New(1, 0, 0, v.Metadata(), "")
	}
	if by := build(v).Compare(build(best)); by != 0 {
		return by > 0
	}
	return tag > latest
}
