package policy_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/policy"
)

func semver(text string) imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: text}}
}

func alphabetical(order imagev1.PolicyOrder) imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{Alphabetical: &imagev1.AlphabeticalPolicy{Order: order}}
}

func numerical(order imagev1.PolicyOrder) imagev1.ImagePolicyChoice {
	return imagev1.ImagePolicyChoice{Numerical: &imagev1.NumericalPolicy{Order: order}}
}

func filter(pattern, extract string) *imagev1.TagFilter {
	return &imagev1.TagFilter{Pattern: pattern, Extract: extract}
}

// compile makes a policy that must be valid.
func compile(t testing.TB, choice imagev1.ImagePolicyChoice, f *imagev1.TagFilter) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(imagev1.ImagePolicySpec{Policy: choice, FilterTags: f})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// latestCase is a policy and what it is to say.
type latestCase struct {
	why    string
	choice imagev1.ImagePolicyChoice
	filter *imagev1.TagFilter
	tags   []string
	want   string
	err    error
	says   []string // parts of the error
}

// check asks for the latest tag with the tags in several orders, which must not matter.
func check(t *testing.T, tests map[string]latestCase) {
	t.Helper()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, tc.choice, tc.filter)
			tags := slices.Clone(tc.tags)
			random := rand.New(rand.NewPCG(1, 2))
			message := ""
			for i := range 10 {
				got, err := p.Latest(slices.Clone(tags))
				if got != tc.want || !errors.Is(err, tc.err) {
					t.Fatalf("Latest(%q) = %q, %v; want %q, %v (%s)", tags, got, err, tc.want, tc.err, tc.why)
				}
				if err != nil {
					if i > 0 && err.Error() != message {
						t.Errorf("the message is %q, and in another order of the tags %q", message, err)
					}
					message = err.Error()
				}
				random.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
			}
			for _, part := range tc.says {
				if !strings.Contains(message, part) {
					t.Errorf("the message is %q; want it to say %q (%s)", message, part, tc.why)
				}
			}
		})
	}
}

func TestSemVer(t *testing.T) {
	t.Parallel()
	check(t, map[string]latestCase{
		"by numbers":              {why: "words would say 1.9.0", choice: semver("1.x"), tags: []string{"1.2.0", "1.10.0", "1.9.0", "2.0.0"}, want: "1.10.0"},
		"with a v":                {why: "the tag is told as it is", choice: semver(">=1.0.0"), tags: []string{"1.0.0", "v1.2.0"}, want: "v1.2.0"},
		"with two":                {why: "that is no version", choice: semver("*"), tags: []string{"vv1.2.0", "1.0.0"}, want: "1.0.0"},
		"moving tags":             {why: "registries hold those too", choice: semver("*"), tags: []string{"latest", "main", "1.0.0", "sha256-aa.sig"}, want: "1.0.0"},
		"two numbers, and four":   {why: "a version has three", choice: semver("*"), tags: []string{"2", "2.1", "1.0.0", "1.28.0.5999-x"}, want: "1.0.0"},
		"dates":                   {why: "leading zeros make no version", choice: semver("*"), tags: []string{"2024.01.02", "2024.1.2", "02024.1.3"}, want: "2024.1.2"},
		"no pre-releases":         {choice: semver(">=1.0.0"), tags: []string{"1.0.0", "1.1.0-rc.1"}, want: "1.0.0"},
		"pre-releases":            {why: "the range has one", choice: semver(">=1.0.0-0"), tags: []string{"1.0.0", "1.1.0-rc.2", "1.1.0-rc.10"}, want: "1.1.0-rc.10"},
		"a release over its rc":   {choice: semver(">=1.0.0-0"), tags: []string{"1.1.0", "1.1.0-rc.1"}, want: "1.1.0"},
		"pre-releases of another": {why: "one alternative has one", choice: semver("1.x || >=2.0.0-0 <3.0.0"), tags: []string{"1.9.0", "1.9.1-rc.1", "2.0.0-rc.1"}, want: "2.0.0-rc.1"},
		"alternatives":            {choice: semver("1.x || 3.x"), tags: []string{"1.0.0", "2.0.0", "3.1.0", "4.0.0"}, want: "3.1.0"},
		"a span":                  {choice: semver("1.2 - 1.4.5"), tags: []string{"1.1.9", "1.4.5", "1.4.6"}, want: "1.4.5"},
		"all but one":             {choice: semver(">=1.0.0 !=1.4.6"), tags: []string{"1.4.5", "1.4.6"}, want: "1.4.5"},
		"equal versions":          {why: "the last in the alphabet, whatever the order", choice: semver("*"), tags: []string{"v1.0.0", "1.0.0"}, want: "v1.0.0"},
		"build metadata": {
			why: "they do not count for the precedence, so that they break ties", choice: semver("*"),
			filter: filter(`^(.*)_(\d+)$`, "$1+$2"), tags: []string{"1.0.0_9", "1.0.0_10", "1.0.0_8"}, want: "1.0.0_10",
		},
		"metadata, or none": {
			choice: semver("*"), filter: filter(`^([^_]*)(_(\d+))?$`, "$1"), tags: []string{"1.0.0_9", "1.0.0"}, want: "1.0.0_9",
		},
		"a filter":           {choice: semver("*"), filter: filter(`-alpine$`, ""), tags: []string{"1.0.0-alpine", "2.0.0"}, err: policy.ErrNoMatch},
		"a filter and range": {choice: semver(">=1.0.0-0"), filter: filter(`-alpine$`, ""), tags: []string{"1.0.0-alpine", "2.0.0", "1.1.0-alpine"}, want: "1.1.0-alpine"},
		"a part":             {choice: semver("*"), filter: filter(`^app-(?P<v>.*)-amd64$`, "$v"), tags: []string{"app-1.2.0-amd64", "app-1.10.0-amd64", "app-9.0.0-arm64"}, want: "app-1.10.0-amd64"},
		"nothing in range": {
			choice: semver(">=2.0.0"), tags: []string{"1.0.0", "1.1.0", "latest", "2.0.0-rc.1"}, err: policy.ErrNoMatch,
			says: []string{
				"unable to determine latest version from provided list", "tags: 4, versions of three numbers: 3", "pre-releases: 1;", `in the range ">=2.0.0": 0`,
			},
		},
		"nothing in range, filtered": {
			choice: semver(">=2.0.0"), filter: filter("^1", ""), tags: []string{"1.0.0", "1.1", "latest"}, err: policy.ErrNoMatch,
			says: []string{`tags: 3, matching spec.filterTags.pattern "^1": 2, versions of three numbers: 1, in the range ">=2.0.0": 0`},
		},
		"no version at all": {why: "the range does not matter", choice: semver("*"), tags: []string{"main", "1.2"}, err: policy.ErrNoMatch, says: []string{"versions of three numbers: 0"}},
		"nothing matches": {
			choice: semver("*"), filter: filter("^v", ""), tags: []string{"1.0.0", "2.0.0"}, err: policy.ErrNoTags,
			says: []string{"version list argument cannot be empty", `tags: 2, matching spec.filterTags.pattern "^v": 0`},
		},
		"no tags": {choice: semver("*"), err: policy.ErrNoTags, says: []string{"version list argument cannot be empty", "there are no tags"}},
	})
}

func TestAlphabetical(t *testing.T) {
	t.Parallel()
	check(t, map[string]latestCase{
		"by default":       {why: "ascending, of which the last counts", choice: alphabetical(""), tags: []string{"a", "c", "b"}, want: "c"},
		"ascending":        {choice: alphabetical("asc"), tags: []string{"a", "c", "b"}, want: "c"},
		"descending":       {choice: alphabetical("desc"), tags: []string{"a", "c", "b"}, want: "a"},
		"numbers":          {why: "they are words", choice: alphabetical("asc"), tags: []string{"10", "9"}, want: "9"},
		"capital letters":  {why: "bytes count", choice: alphabetical("asc"), tags: []string{"B", "a"}, want: "a"},
		"a filter":         {choice: alphabetical("asc"), filter: filter("^rel-", ""), tags: []string{"rel-a", "rel-b", "x"}, want: "rel-b"},
		"filtered, desc":   {choice: alphabetical("desc"), filter: filter("^rel-", ""), tags: []string{"rel-a", "rel-b", "a"}, want: "rel-a"},
		"a part":           {choice: alphabetical("asc"), filter: filter(`^.*-(?P<ts>\d+)$`, "${ts}"), tags: []string{"z-1", "a-3", "m-2"}, want: "a-3"},
		"by number":        {choice: alphabetical("asc"), filter: filter(`^(.*)-(\d+)$`, "$2"), tags: []string{"z-1", "a-3"}, want: "a-3"},
		"parts put anew":   {choice: alphabetical("asc"), filter: filter(`^(\d+)-(\d+)$`, "${2}x${1}"), tags: []string{"9-1", "1-9"}, want: "1-9"},
		"equal, asc":       {why: "the direction decides between equal ones as well", choice: alphabetical("asc"), filter: filter(`^(\d+)-`, "$1"), tags: []string{"1-a", "2-a", "2-b"}, want: "2-b"},
		"equal, desc":      {choice: alphabetical("desc"), filter: filter(`^(\d+)-`, "$1"), tags: []string{"1-a", "2-a", "1-b"}, want: "1-a"},
		"an unknown group": {why: "it is empty, and all are equal", choice: alphabetical("asc"), filter: filter(`^.*$`, "$nothing"), tags: []string{"a", "b"}, want: "b"},
		"an empty pattern": {why: "everything matches", choice: alphabetical("asc"), filter: filter("", ""), tags: []string{"a", "b"}, want: "b"},
		"nothing matches": {
			choice: alphabetical("asc"), filter: filter("^x", ""), tags: []string{"a"}, err: policy.ErrNoTags,
			says: []string{"version list argument cannot be empty", `"^x": 0`},
		},
		"nothing to extract from": {choice: alphabetical("asc"), filter: filter("^(x)", "$1"), tags: []string{"a"}, err: policy.ErrNoTags},
	})
}

func TestNumerical(t *testing.T) {
	t.Parallel()
	check(t, map[string]latestCase{
		"by default":     {choice: numerical(""), tags: []string{"9", "10", "8"}, want: "10"},
		"descending":     {choice: numerical("desc"), tags: []string{"9", "10", "8"}, want: "8"},
		"fractions":      {choice: numerical("asc"), tags: []string{"1.5", "1.25", "-3"}, want: "1.5"},
		"exponents":      {choice: numerical("asc"), tags: []string{"1e3", "999"}, want: "1e3"},
		"large ones":     {why: "as floats they are equal", choice: numerical("asc"), tags: []string{"20261126010203123457", "20261126010203123456"}, want: "20261126010203123457"},
		"large ones, 0":  {why: "zeros before a number do not make it larger", choice: numerical("asc"), tags: []string{"20261126010203123457", "0020261126010203123456"}, want: "20261126010203123457"},
		"equal, asc":     {why: "the direction decides between equal ones as well", choice: numerical("asc"), tags: []string{"1.0", "1.00", "0.5"}, want: "1.00"},
		"equal, desc":    {choice: numerical("desc"), tags: []string{"1.0", "1.00", "2"}, want: "1.0"},
		"a filter":       {choice: numerical("asc"), filter: filter(`^\d+$`, ""), tags: []string{"9", "10", "latest"}, want: "10"},
		"filtered, desc": {choice: numerical("desc"), filter: filter(`^\d+$`, ""), tags: []string{"9", "10", "latest", "0.5"}, want: "9"},
		"a part":         {choice: numerical("asc"), filter: filter(`^main-[a-f0-9]+-(?P<ts>\d+)$`, "$ts"), tags: []string{"main-ff-9", "main-aa-10", "latest"}, want: "main-aa-10"},
		"equal parts":    {choice: numerical("asc"), filter: filter(`-(\d+)$`, "$1"), tags: []string{"b-1", "a-1", "c-0"}, want: "b-1"},
		"a word": {
			why: "one that is no number fails the policy", choice: numerical("asc"), tags: []string{"1", "latest", "2", "main"}, err: policy.ErrNotNumber,
			says: []string{`tag "latest" is not a number`, "tags: 4, numbers: 2"},
		},
		"a word that is let through": {
			choice: numerical("asc"), filter: filter(`^[a-z0-9]+$`, ""), tags: []string{"1", "x1", "2.5"}, err: policy.ErrNotNumber,
			says: []string{`tag "x1"`, "tags: 3", ": 2, numbers: 1"},
		},
		"a part that is a word": {
			choice: numerical("asc"), filter: filter(`^b-(.*)$`, "$1"), tags: []string{"b-1", "b-x", "c-y"}, err: policy.ErrNotNumber,
			says: []string{`"x", of tag "b-x"`, ": 2, numbers: 1"},
		},
		"words that Go takes for numbers": {choice: numerical("asc"), tags: []string{"1", "nan"}, err: policy.ErrNotNumber, says: []string{`"nan"`}},
		"infinity":                        {choice: numerical("asc"), tags: []string{"1", "inf"}, err: policy.ErrNotNumber, says: []string{`"inf"`}},
		"beyond all floats":               {choice: numerical("asc"), tags: []string{"1", "1e999"}, err: policy.ErrNotNumber, says: []string{`"1e999"`}},
		"nothing matches":                 {choice: numerical("asc"), filter: filter(`^\d+$`, ""), tags: []string{"a"}, err: policy.ErrNoTags},
		"nothing to extract from":         {choice: numerical("asc"), filter: filter(`^(\d+)$`, "$1"), tags: []string{"a"}, err: policy.ErrNoTags},
	})
}

func TestCompile(t *testing.T) {
	t.Parallel()
	both := semver("1.x")
	both.Numerical = numerical("asc").Numerical
	tests := map[string]struct {
		why    string
		choice imagev1.ImagePolicyChoice
		filter *imagev1.TagFilter
		says   []string // parts of the error; none: it is valid
	}{
		"a range":                {choice: semver(">=1.0.0 <2.0.0")},
		"two choices":            {why: "the first of them counts", choice: both},
		"no choice":              {says: []string{"invalid policy", "spec.policy", "semver", "alphabetical", "numerical"}},
		"what is no range":       {choice: semver("one"), says: []string{"invalid policy", "spec.policy.semver.range", `"one"`}},
		"a range that is long":   {choice: semver(strings.Repeat("1", 1000)), says: []string{"spec.policy.semver.range", "1…"}},
		"an order of words":      {choice: alphabetical("up"), says: []string{"spec.policy.alphabetical.order", `"up"`}},
		"an order of numbers":    {choice: numerical("up"), says: []string{"spec.policy.numerical.order", `"up"`}},
		"what is no expression":  {choice: semver("*"), filter: filter("(", ""), says: []string{"invalid policy", "spec.filterTags.pattern", `"("`}},
		"what only others match": {why: "an expression that needs to look back is none of Go", choice: semver("*"), filter: filter("(?=a)", ""), says: []string{"spec.filterTags.pattern"}},
	}
	for name, tc := range tests {
		_, err := policy.Compile(imagev1.ImagePolicySpec{Policy: tc.choice, FilterTags: tc.filter})
		if errors.Is(err, policy.ErrInvalid) != (tc.says != nil) {
			t.Errorf("%s: %v; want it refused: %t (%s)", name, err, tc.says != nil, tc.why)
			continue
		}
		for _, part := range tc.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error is %q; want it to say %q", name, err, part)
			}
		}
	}
}

// TestPreparedTagsServeAll: policies do not disturb one another, nor the list.
func TestPreparedTagsServeAll(t *testing.T) {
	t.Parallel()
	list := []string{"2", "1.0.0", "b", "10", "v1.2.0", "a"}
	before := slices.Clone(list)
	tags := policy.Prepare(list)
	tests := map[string]struct {
		choice imagev1.ImagePolicyChoice
		filter *imagev1.TagFilter
		want   string
	}{
		"versions":       {choice: semver("*"), want: "v1.2.0"},
		"some versions":  {choice: semver("<1.2.0"), want: "1.0.0"},
		"words":          {choice: alphabetical("asc"), want: "v1.2.0"},
		"words, desc":    {choice: alphabetical("desc"), want: "1.0.0"},
		"numbers":        {choice: numerical("asc"), filter: filter(`^\d+$`, ""), want: "10"},
		"numbers, desc":  {choice: numerical("desc"), filter: filter(`^\d+$`, ""), want: "2"},
		"a part of them": {choice: numerical("asc"), filter: filter(`^v1\.(\d)\.0$`, "$1"), want: "v1.2.0"},
	}
	for name, tc := range tests {
		p := compile(t, tc.choice, tc.filter)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 3 {
				if got, err := p.LatestOf(tags); got != tc.want || err != nil {
					t.Errorf("the latest is %q, %v; want %q", got, err, tc.want)
				}
			}
		})
	}
	t.Cleanup(func() {
		if !slices.Equal(list, before) {
			t.Errorf("the list has become %q", list)
		}
	})
}

// TestPrefixes: what a pattern begins with saves looks at tags, and leaves out none.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	check(t, map[string]latestCase{
		"anchored":               {choice: alphabetical("asc"), filter: filter("^b-[0-9]$", ""), tags: []string{"a-9", "b-1", "b-2", "b-x", "c-3"}, want: "b-2"},
		"anchored, descending":   {choice: alphabetical("desc"), filter: filter("^b-[0-9]$", ""), tags: []string{"a-9", "b-1", "b-2", "b", "c-3"}, want: "b-1"},
		"the whole pattern":      {choice: alphabetical("asc"), filter: filter("^b", ""), tags: []string{"a", "b", "b1", "c"}, want: "b1"},
		"not anchored":           {choice: alphabetical("asc"), filter: filter("b-[0-9]$", ""), tags: []string{"a", "zb-1", "b-2"}, want: "zb-1"},
		"one of two":             {why: "the anchor is for the first only", choice: alphabetical("asc"), filter: filter("^b-|c", ""), tags: []string{"b-1", "xc", "d"}, want: "xc"},
		"optional":               {why: "the letter need not be there", choice: alphabetical("asc"), filter: filter("^b?[0-9]$", ""), tags: []string{"b1", "b2", "3"}, want: "b2"},
		"optional, and absent":   {choice: alphabetical("desc"), filter: filter("^b?[0-9]$", ""), tags: []string{"b1", "3"}, want: "3"},
		"many times, or none":    {choice: alphabetical("desc"), filter: filter("^b*c$", ""), tags: []string{"bc", "c", "bbc"}, want: "bbc"},
		"none at all":            {choice: alphabetical("asc"), filter: filter("^b*c$", ""), tags: []string{"bc", "c"}, want: "c"},
		"of any case":            {choice: alphabetical("asc"), filter: filter("(?i)^rc-", ""), tags: []string{"RC-1", "rc-1", "Rc-2"}, want: "rc-1"},
		"of any case, desc":      {choice: alphabetical("desc"), filter: filter("(?i)^rc-", ""), tags: []string{"RC-1", "rc-1", "Rc-2"}, want: "RC-1"},
		"a line":                 {why: "tags have one", choice: alphabetical("asc"), filter: filter("(?m)^b", ""), tags: []string{"a", "b"}, want: "b"},
		"an escaped sign":        {choice: alphabetical("asc"), filter: filter(`^v\.1`, ""), tags: []string{"v.1", "vx1", "v.12"}, want: "v.12"},
		"numbers with a part":    {choice: numerical("asc"), filter: filter(`^b-([0-9]+)$`, "$1"), tags: []string{"a-100", "b-9", "b-10", "c-x"}, want: "b-10"},
		"numbers in words":       {choice: numerical("asc"), filter: filter(`^1[0-9]$`, ""), tags: []string{"9", "10", "12", "1x", "20"}, want: "12"},
		"a word with the prefix": {choice: numerical("asc"), filter: filter(`^1`, ""), tags: []string{"9", "10", "1x", "20"}, err: policy.ErrNotNumber, says: []string{`"1x"`, ": 2, numbers: 1"}},
		"nothing": {
			choice: semver("*"), filter: filter("^x-(.*)", "$1"), tags: []string{"1.0.0"}, err: policy.ErrNoTags, says: []string{`tags: 1, matching spec.filterTags.pattern "^x-(.*)": 0`},
		},
	})
}

// TestPoliciesThatSayTheSame, and those that nearly do.
func TestPoliciesThatSayTheSame(t *testing.T) {
	t.Parallel()
	tags := policy.Prepare([]string{"1", "2", "10", "x-3"})
	specs := []latestCase{
		{choice: alphabetical("asc"), filter: filter("^[0-9]+$", ""), want: "2"},
		{choice: alphabetical("desc"), filter: filter("^[0-9]+$", ""), want: "1"},
		{choice: numerical("asc"), filter: filter("^[0-9]+$", ""), want: "10"},
		{choice: numerical("desc"), filter: filter("^[0-9]+$", ""), want: "1"},
		{choice: numerical("asc"), filter: filter("([0-9])$", "$1"), want: "x-3"},
		{choice: numerical("asc"), filter: filter("([0-9])$", "${1}0"), want: "x-3"},
		{choice: numerical("asc"), filter: filter("([0-9])$", "-$1"), want: "10"},
		{choice: alphabetical("asc"), want: "x-3"},
	}
	for range 2 {
		for _, tc := range specs {
			if got, err := compile(t, tc.choice, tc.filter).LatestOf(tags); err != nil || got != tc.want {
				t.Errorf("%v with the filter %v says %q, %v; want %q", tc.choice, tc.filter, got, err, tc.want)
			}
		}
	}
}
