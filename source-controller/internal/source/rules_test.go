package source

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/sourceignore"
)

// TestRulesMatchAsPatterns compares with the library, which tries all there are.
func TestRulesMatchAsPatterns(t *testing.T) {
	t.Parallel()
	parts := []string{"a", "b", "c.txt", "*", "*.txt", "**", "?", "[ab]", "[", "a*b", "", " ", `\ `, "***", "a**", ".", "x\\"}
	names := []string{"a", "b", "c.txt", "ab", "d", "a b", " ", "x", "aXb", "[", "."}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		some := func(from []string, most int) []string {
			list := make([]string, 1+random.IntN(most))
			for i := range list {
				list[i] = from[random.IntN(len(from))]
			}
			return list
		}
		var lines []string
		for range 1 + random.IntN(5) {
			line := strings.Join(some(parts, 3), "/") + []string{"", "", "/", " ", `\ `}[random.IntN(5)]
			lines = append(lines, []string{"", "", "!", "#", "/"}[random.IntN(5)]+line)
		}
		var domain []string
		if random.IntN(2) == 0 {
			domain = some(names, 2)
		}
		text := strings.Join(lines, "\n")
		want := sourceignore.NewMatcher(sourceignore.ReadPatterns(strings.NewReader(text), domain))
		got := newRules(readRules([]byte(text), domain))
		for range 60 {
			path, dir := some(names, 4), random.IntN(2) == 0
			if random.IntN(2) == 0 {
				path = append(append([]string(nil), domain...), path...)
			}
			if got, want := got.Match(path, dir), want.Match(path, dir); got != want {
				t.Fatalf("%q in %q: %q, folder %t: %t, want %t", lines, domain, path, dir, got, want)
			}
		}
	}
}

// TestListedRules: the defaults are those of the library.
func TestListedRules(t *testing.T) {
	t.Parallel()
	want := len(sourceignore.VCSPatterns(nil)) + len(sourceignore.DefaultPatterns(nil))
	if got := len(Ignored(nil, nil).(*rules).all); got != want {
		t.Errorf("%d rules, want %d", got, want)
	}
}

// TestNamesAreLookedAtOnce counts the names that are remembered, which are bounded.
func TestNamesAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRules(readRules([]byte("*.md\n/docs/**"), nil))
	for i := range 1000 {
		r.Match([]string{"apps", fmt.Sprint(i % 10), "base", "app.yaml"}, false)
	}
	if got, want := len(r.names), 13; got != want {
		t.Errorf("%d names, want %d", got, want)
	}
	for i := range maxNames + 10 {
		r.Match([]string{fmt.Sprint(i)}, false)
	}
	if got := len(r.names); got > maxNames {
		t.Errorf("%d names, want no more than %d", got, maxNames)
	}
}
