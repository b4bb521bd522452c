package policy

import (
	"fmt"
	"strings"
)

// names is the order of the alphabet, byte by byte.
type names struct{ descending bool }

func (o names) String() string { return fmt.Sprintf("alphabetical, descending: %t", o.descending) }

func (o names) latest(t *Tags, f *filter) (string, error) {
	if f.extracts() {
		return o.latestExtracted(t, f)
	}
	for _, tag := range walk(f.within(t.names()), o.descending) {
		if f.match(tag) {
			return tag, nil
		}
	}
	return "", tally{tags: len(t.list), filter: f}.noTags()
}

func (o names) latestExtracted(t *Tags, f *filter) (string, error) {
	var last best[string]
	f.keys(t.names(), func(tag string, key []byte) bool {
		last.offer(candidate[string]{key: string(key), tag: tag}, o.descending, strings.Compare)
		return true
	})
	if !last.found {
		return "", tally{tags: len(t.list), filter: f}.noTags()
	}
	return last.tag, nil
}
