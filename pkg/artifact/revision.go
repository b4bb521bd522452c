package artifact

import (
	"fmt"
	"strings"
)

// checksumLength is the number of hex digits that each algorithm of a revision has. SHA-1 is here
// because Git uses it; an artifact's own digest never does.
var checksumLength = map[string]int{"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}

// Revision says which state of a source an artifact was made from: `main@sha1:<hex>`,
// `refs/heads/main@sha1:<hex>`, `v1.2.3@sha256:<hex>`, or `sha256:<hex>` where nothing has a name.
// Revisions are comparable with ==.
//
// Not every revision on the wire has this form: a Helm chart's is its version, and a third party's
// may be anything. Compare wire strings with SameRevision.
type Revision struct {
	Name      string // branch, tag or ref; empty if the source named only a checksum
	Algorithm string // sha1, sha256, sha384 or sha512
	Hex       string
}

// ParseRevision accepts the forms above and the ones that they replaced: `main/<hex>`, `HEAD/<hex>`
// and a bare `<hex>`, whose algorithm follows from its length.
func ParseRevision(s string) (Revision, error) {
	var r Revision
	var ok bool
	if strings.Contains(s, ":") {
		r, ok = parseRevision(s)
	} else {
		r, ok = parseLegacyRevision(s)
	}
	if !ok {
		return Revision{}, fmt.Errorf("revision %q is not of the form name@algorithm:hex", s)
	}
	return r, nil
}

// SameRevision reports whether two revisions as they stand in a status mean the same state. Older
// forms equal their replacement; what cannot be parsed equals only itself.
func SameRevision(a, b string) bool {
	if a == b {
		return true
	}
	ra, err := ParseRevision(a)
	if err != nil {
		return false
	}
	rb, err := ParseRevision(b)
	return err == nil && ra == rb
}

// String returns the current wire form.
func (r Revision) String() string {
	if r.Name == "" {
		return r.Checksum()
	}
	return r.Name + "@" + r.Checksum()
}

// Checksum returns the part after the name, `<algorithm>:<hex>`.
func (r Revision) Checksum() string { return r.Algorithm + ":" + r.Hex }

func parseRevision(s string) (Revision, bool) {
	checksum := s
	var r Revision
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		r.Name, checksum = s[:i], s[i+1:]
		if r.Name == "" {
			return Revision{}, false
		}
	}
	r.Algorithm, r.Hex, _ = strings.Cut(checksum, ":")
	n := checksumLength[r.Algorithm]
	return r, n > 0 && len(r.Hex) == n && isHex(r.Hex)
}

func parseLegacyRevision(s string) (Revision, bool) {
	r := Revision{Hex: s}
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		r.Name, r.Hex = s[:i], s[i+1:]
		if r.Name == "" {
			return Revision{}, false
		}
	}
	if r.Name == "HEAD" {
		r.Name = "" // a detached checkout: no branch was named
	}
	for algorithm, n := range checksumLength {
		if len(r.Hex) == n {
			r.Algorithm = algorithm
		}
	}
	return r, r.Algorithm != "" && isHex(r.Hex)
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
