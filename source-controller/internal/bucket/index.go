package bucket

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fluxcd/pkg/sourceignore/gitignore"

	"weir.dev/pkg/artifact/archive"
	"weir.dev/source-controller/internal/bucket/objects"
)

const (
	// maxName is the longest name that common file systems take.
	maxName = 255
	// maxETag bounds what is only ever compared.
	maxETag = 1 << 10
)

// index is which state of which objects an artifact is made of, by key.
type index map[string]objects.Object

// newIndex returns what of a listing goes into the artifact: what no rule leaves out. It
// is an error if one of these objects cannot be a file in an archive, so that nobody
// misses it unknowingly.
func newIndex(listed []objects.Object, ignored gitignore.Matcher) (index, error) {
	x := make(index, len(listed))
	for _, o := range listed {
		if ignored.Match(strings.Split(o.Key, "/"), false) {
			continue
		}
		if err := check(o); err != nil {
			return nil, err
		}
		x[o.Key] = o
	}
	return x, x.settleFolders()
}

// check refuses an object that cannot be a file of its name on all systems, and one
// whose changes cannot be seen.
func check(o objects.Object) error {
	const advice = "rename it, or leave it out by spec.ignore"
	if err := checkKey(o.Key); err != nil {
		return fmt.Errorf("object %q %w: %s", o.Key, err, advice)
	}
	if o.ETag == "" || len(o.ETag) > maxETag || strings.ContainsFunc(o.ETag, unicode.IsControl) {
		return fmt.Errorf("object %q has no usable ETag, by which changes are seen", o.Key)
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case !utf8.ValidString(key):
		return errors.New("has a name that is not UTF-8")
	case strings.ContainsFunc(key, unicode.IsControl):
		return errors.New("has a control character in its name")
	case strings.Contains(key, `\`):
		return errors.New("has a backslash in its name")
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return errors.New("has a name with an empty part")
		case part == "." || part == "..":
			return fmt.Errorf("has the part %q in its name", part)
		case len(part) > maxName:
			return fmt.Errorf("has a part of more than %d bytes in its name", maxName)
		}
	}
	return nil
}

// settleFolders looks for objects that have the name of a folder. Empty ones are how
// some programs mark folders; others cannot be a file and a folder at once.
func (x index) settleFolders() error {
	sorted := x.sorted()
	for i := 1; i < len(sorted); i++ {
		above, below := sorted[i-1], sorted[i]
		if !strings.HasPrefix(below.Key, above.Key+"/") {
			continue
		}
		if above.Size != 0 {
			return fmt.Errorf("object %q has the name of a folder, that of %q: rename one, or leave it out by spec.ignore", above.Key, below.Key)
		}
		delete(x, above.Key)
	}
	return nil
}

// sorted returns the objects in the order of an archive.
func (x index) sorted() []objects.Object {
	return slices.SortedFunc(maps.Values(x), func(a, b objects.Object) int { return archive.Compare(a.Key, b.Key) })
}

// revision tells the state of all objects together.
func (x index) revision() string { return "sha256:" + x.hex() }

func (x index) hex() string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(x)) {
		fmt.Fprintf(h, "%s %s\n", key, x[key].ETag)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// exceeds reports whether all objects together have more bytes than a limit, as far as
// their storage tells.
func (x index) exceeds(limit int64) bool {
	for _, o := range x {
		if limit -= min(max(0, o.Size), limit+1); limit < 0 {
			return true
		}
	}
	return false
}
