package policy

import "fmt"

// tally is what became of the tags, for people whose policy selects none.
type tally struct {
	tags        int
	filter      *filter
	matched     int // by the filter
	parsed      int // as what the policy compares
	prereleases int
}

// String says how many tags there were, and how many were let through.
func (n tally) String() string {
	if n.filter == nil {
		return fmt.Sprintf("tags: %d", n.tags)
	}
	return fmt.Sprintf("tags: %d, matching %s: %d", n.tags, n.filter, n.matched)
}

// noTags says that the filter lets nothing through.
func (n tally) noTags() error { return fmt.Errorf("%w: %s", ErrNoTags, n) }

// count looks at all tags, which is done only where none was selected. Those that ranked
// has need not be parsed again.
func count[K any](t *Tags, f *filter, all ranked[K], parse func(string) (K, bool), use func(K, *tally)) tally {
	n := tally{tags: len(t.list), filter: f}
	if f.extracts() {
		f.keys(t.names(), func(_ string, text []byte) bool {
			n.matched++
			if key, ok := parse(string(text)); ok {
				use(key, &n)
			}
			return true
		})
		return n
	}
	for _, tag := range f.within(all.out) {
		if f.match(tag) {
			n.matched++
		}
	}
	for _, c := range all.in {
		if f.match(c.tag) {
			n.matched++
			use(c.key, &n)
		}
	}
	return n
}

// countVersions counts what is a version.
func countVersions(t *Tags, f *filter) tally {
	return count(t, f, t.versions(), parseVersion, func(v *version, n *tally) {
		n.parsed++
		if v.Prerelease() != "" {
			n.prereleases++
		}
	})
}

// countNumbers says how many candidates are numbers.
func countNumbers(t *Tags, f *filter) string {
	n := count(t, f, t.numbers(), parseNumber, func(_ numericalKey, n *tally) { n.parsed++ })
	return fmt.Sprintf("%s, numbers: %d", n, n.parsed)
}
