package policy

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// Tags is a list of tags, prepared for many policies: what they would each parse and
// sort is parsed and sorted when it is first asked for. It may be used by many at once.
type Tags struct {
	list     []string
	names    func() []string             // ascending
	versions func() ranked[*version]     // by their precedence
	numbers  func() ranked[numericalKey] // by their size

	mu      sync.Mutex
	answers map[string]answer // by the text of policies
}

// answer is what a policy says.
type answer struct {
	tag string
	err error
}

// maxAnswers is how many are known at a time. Policies that differ beyond that are asked.
const maxAnswers = 10_000

// Prepare returns Tags of a list, which must not be changed any more.
func Prepare(list []string) *Tags {
	t := &Tags{list: list, answers: make(map[string]answer)}
	t.names = sync.OnceValue(func() []string {
		if slices.IsSorted(list) {
			return list
		}
		return slices.Sorted(slices.Values(list))
	})
	t.versions = sync.OnceValue(func() ranked[*version] { return rank(t.names(), parseVersion, (*version).compare) })
	t.numbers = sync.OnceValue(func() ranked[numericalKey] { return rank(t.names(), parseNumber, numericalKey.compare) })
	return t
}

// answer returns what policies of a text say, and asks if no other has said it.
func (t *Tags) answer(text string, ask func() (string, error)) (string, error) {
	t.mu.Lock()
	a, known := t.answers[text]
	t.mu.Unlock()
	if known {
		return a.tag, a.err
	}
	a.tag, a.err = ask()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.answers) < maxAnswers {
		t.answers[text] = a
	}
	return a.tag, a.err
}

// candidate is a tag with the key that it is compared by.
type candidate[K any] struct {
	key K
	tag string
}

// ranked are tags in the order of their keys.
type ranked[K any] struct {
	in  []candidate[K] // ascending
	out []string       // those that have no key; ascending
}

// rank puts tags in the order of the keys that parse makes of them.
func rank[K any](ascending []string, parse func(string) (K, bool), compare func(a, b K) int) ranked[K] {
	var r ranked[K]
	for _, tag := range ascending {
		if key, ok := parse(tag); ok {
			r.in = append(r.in, candidate[K]{key: key, tag: tag})
		} else {
			r.out = append(r.out, tag)
		}
	}
	slices.SortFunc(r.in, func(a, b candidate[K]) int { return a.compare(b, compare) })
	return r
}

// compare compares by the keys, and by the tags where those are equal.
func (c candidate[K]) compare(d candidate[K], compare func(a, b K) int) int {
	if by := compare(c.key, d.key); by != 0 {
		return by
	}
	return strings.Compare(c.tag, d.tag)
}

// walk passes over an ascending list from what a direction has last.
func walk[E any](ascending []E, descending bool) iter.Seq2[int, E] {
	if descending {
		return slices.All(ascending)
	}
	return slices.Backward(ascending)
}

// best is the candidate that is the last in an order.
type best[K any] struct {
	candidate[K]
	found bool
}

// offer takes c instead if it comes later.
func (b *best[K]) offer(c candidate[K], descending bool, compare func(a, b K) int) {
	if b.found {
		if by := c.compare(b.candidate, compare); by == 0 || by > 0 == descending {
			return
		}
	}
	b.candidate, b.found = c, true
}
