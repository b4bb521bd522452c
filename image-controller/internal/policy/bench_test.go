package policy_test

import (
	"fmt"
	"testing"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/policy"
)

const (
	benchTags     = 10_000
	benchPolicies = 1000
)

// manyTags is what a repository that is built often has.
func manyTags() []string {
	tags := make([]string, 0, benchTags)
	for i := range benchTags / 4 {
		tags = append(tags,
			fmt.Sprintf("%d.%d.%d", i/500, i/20%25, i%20),
			fmt.Sprintf("%d.%d.%d-rc.%d", i/500, i/20%25, i%20, i%7),
			fmt.Sprintf("main-%07x-%d", i*7919, 1_700_000_000+i),
			fmt.Sprintf("pr-%d", i),
		)
	}
	return tags
}

// BenchmarkPolicies is one list of 10,000 tags and 1000 policies, compiled, that ask for
// the latest of it. All say something else, but the equal ones.
func BenchmarkPolicies(b *testing.B) {
	list := manyTags()
	type spec = func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter)
	tests := map[string]spec{
		"semver": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return semver(fmt.Sprintf(">=1.0.%d", i)), nil
		},
		"semver/old": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return semver(fmt.Sprintf("0.%d.x || 0.0.%d", i%25, i)), nil
		},
		"semver/filtered": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return semver(">=0.0.0-0"), filter(fmt.Sprintf(`-rc\.%d(%d)?$`, i%7, i), "")
		},
		"semver/none": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return semver(fmt.Sprintf(">=9.0.%d", i)), nil
		},
		"alphabetical": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return alphabetical("asc"), filter(fmt.Sprintf("^main-|^x%d", i), "")
		},
		"numerical/part": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return numerical("asc"), filter(fmt.Sprintf(`^main-[a-f0-9]+-(?P<ts%d>[0-9]+)$`, i), fmt.Sprintf("$ts%d", i))
		},
		"numerical/prefix": func(i int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return numerical("asc"), filter(fmt.Sprintf(`^pr-%d([0-9]*)$`, i), fmt.Sprintf("%d$1", i))
		},
		"numerical/equal": func(int) (imagev1.ImagePolicyChoice, *imagev1.TagFilter) {
			return numerical("asc"), filter(`^main-[a-f0-9]+-(?P<ts>[0-9]+)$`, "$ts")
		},
	}
	for name, spec := range tests {
		b.Run(name, func(b *testing.B) {
			policies := make([]*policy.Policy, benchPolicies)
			for i := range policies {
				choice, f := spec(i)
				policies[i] = compile(b, choice, f)
			}
			b.ReportAllocs()
			for b.Loop() {
				tags := policy.Prepare(list)
				for _, p := range policies {
					_, _ = p.LatestOf(tags) // that there is none is an answer, too
				}
			}
		})
	}
}
