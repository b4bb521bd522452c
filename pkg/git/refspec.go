package git

import (
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxRefName bounds the name of a ref, in bytes.
const maxRefName = 1024

// Refspec says which commit goes to which ref of a remote.
type Refspec struct {
	// Source is HEAD, the full name of a ref, or 40 hexadecimal digits.
	Source string
	// Target is the full name of a ref of the remote.
	Target plumbing.ReferenceName
	// Force lets the target lose commits that it has and the source has not.
	Force bool
}

// ParseRefspec reads a refspec of git push, in full: "HEAD:refs/heads/staging",
// "+refs/heads/main:refs/heads/other". It may neither delete a ref nor mean several. The
// error is ErrInvalidReference.
func ParseRefspec(text string) (Refspec, error) {
	rest, force := strings.CutPrefix(text, "+")
	source, target, ok := strings.Cut(rest, ":")
	spec := Refspec{Source: source, Target: plumbing.ReferenceName(target), Force: force}
	switch {
	case !ok || strings.Contains(target, ":"):
		return Refspec{}, badRefspec(text, "it is not of the form <source>:<target>")
	case strings.Contains(rest, "*"):
		return Refspec{}, badRefspec(text, "it means several refs, and only one can be pushed")
	case source == "":
		return Refspec{}, badRefspec(text, "without a source it deletes the target, which is not supported")
	case !commitHash.MatchString(source) && !pushable(source) && source != string(plumbing.HEAD):
		return Refspec{}, badRefspec(text, "its source is neither HEAD nor the full name of a ref, such as refs/heads/main")
	case !pushable(target):
		return Refspec{}, badRefspec(text, "its target is not the full name of a ref, such as refs/heads/main")
	}
	return spec, nil
}

func badRefspec(text, why string) error {
	return fmt.Errorf("refspec %q: %w: %s", cut(text, maxSaid), ErrInvalidReference, why)
}

// String returns the refspec in the form that it was read from.
func (s Refspec) String() string {
	text := s.Source + ":" + s.Target.String()
	if s.Force {
		return "+" + text
	}
	return text
}

// pushable reports whether git accepts a name as the full one of a ref. Everything else
// could be something else in the protocol, too.
func pushable(name string) bool {
	rest, ok := strings.CutPrefix(name, "refs/")
	return ok && rest != "" && len(name) <= maxRefName && plumbing.ReferenceName(name).Validate() == nil &&
		!strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f })
}
