package git

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
)

// DefaultBranch is what an empty Reference means.
const DefaultBranch = "master"

// Reference says which commit of a repository is wanted. The first that is set
// of Commit, Name, Tag, SemVer and Branch decides; a Commit may have a Branch on
// which to look for it.
type Reference struct {
	Branch string
	Tag    string
	SemVer string // a constraint of github.com/Masterminds/semver/v3
	Name   string // a full ref, such as refs/pull/42/head
	Commit string // 40 hexadecimal digits
}

// Target is what a Reference means on a remote at one time.
type Target struct {
	// Want is the object to ask the remote for: a commit or an annotated tag.
	Want plumbing.Hash
	// Commit is the commit meant.
	Commit plumbing.Hash
	// Label is the part of the revision before "@"; empty for a bare commit.
	Label string
	// Unadvertised says that no ref of the remote points at Want, so that it may
	// take the history of a branch to get there.
	Unadvertised bool
}

// Revision returns the target in the form of the API: "main@sha1:<hash>".
func (t Target) Revision() string {
	if t.Label == "" {
		return "sha1:" + t.Commit.String()
	}
	return t.Label + "@sha1:" + t.Commit.String()
}

// commitHash is what spec.ref.commit must look like.
var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Resolve decides what ref means among the refs of a remote. Usually there is one
// target; several have equal precedence as semantic versions, and the newest
// commit of them is meant. The error is ErrNoRef if nothing
// fits, and ErrInvalidReference if nothing ever can.
func (ref Reference) Resolve(refs Refs) ([]Target, error) {
	switch {
	case ref.Commit != "":
		return ref.commit(refs)
	case ref.Name != "":
		name := strings.TrimSuffix(ref.Name, "^{}")
		t, ok := refs.target(plumbing.ReferenceName(name), name)
		if !ok {
			return nil, fmt.Errorf("unable to resolve ref '%s' to a specific commit: %w", ref.Name, ErrNoRef)
		}
		return []Target{t}, nil
	case ref.Tag != "":
		t, ok := refs.target(plumbing.NewTagReferenceName(ref.Tag), ref.Tag)
		if !ok {
			return nil, fmt.Errorf("tag %q: %w", ref.Tag, ErrNoRef)
		}
		return []Target{t}, nil
	case ref.SemVer != "":
		return refs.newest(ref.SemVer)
	default:
		branch := ref.branch()
		t, ok := refs.target(plumbing.NewBranchReferenceName(branch), branch)
		if !ok {
			return nil, fmt.Errorf("branch %q: %w", branch, ErrNoRef)
		}
		return []Target{t}, nil
	}
}

func (ref Reference) branch() string {
	if ref.Branch != "" {
		return ref.Branch
	}
	return DefaultBranch
}

// commit resolves a commit hash, which need not be the tip of anything.
func (ref Reference) commit(refs Refs) ([]Target, error) {
	if !commitHash.MatchString(ref.Commit) {
		return nil, fmt.Errorf("commit %q is not 40 hexadecimal digits: %w", ref.Commit, ErrInvalidReference)
	}
	hash := plumbing.NewHash(ref.Commit)
	t := Target{Want: hash, Commit: hash, Label: ref.Branch, Unadvertised: true}
	if ref.Branch != "" {
		if _, ok := refs.target(plumbing.NewBranchReferenceName(ref.Branch), ""); !ok {
			return nil, fmt.Errorf("branch %q: %w", ref.Branch, ErrNoRef)
		}
	}
	for name, tip := range refs.hashes {
		if tip == hash {
			t.Want, t.Unadvertised = hash, false
			break
		}
		if commit, ok := refs.peeled[name]; ok && commit == hash {
			// Maybe it is on no branch any more, but the tag leads there.
			t.Want, t.Unadvertised = tip, false
		}
	}
	return []Target{t}, nil
}

// Refs is what a remote advertises.
type Refs struct {
	hashes map[plumbing.ReferenceName]plumbing.Hash
	peeled map[plumbing.ReferenceName]plumbing.Hash // commits of annotated tags
	head   string                                   // the branch that HEAD is; "" if that is not told
	server capabilities
}

// target looks up a ref by its full name.
func (r Refs) target(name plumbing.ReferenceName, label string) (Target, bool) {
	hash, ok := r.hashes[name]
	if !ok {
		return Target{}, false
	}
	t := Target{Want: hash, Commit: hash, Label: label}
	if commit, ok := r.peeled[name]; ok {
		t.Commit = commit
	}
	return t, true
}

// Tip returns what a ref points to, by its full name: of an annotated tag, the tag.
func (r Refs) Tip(name plumbing.ReferenceName) (plumbing.Hash, bool) {
	hash, ok := r.hashes[name]
	return hash, ok
}

// threeParts is what a tag must look like to count as a version.
var threeParts = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+`)

// newest returns the tags with the highest version that the constraint allows:
// more than one if they differ only in build metadata.
func (r Refs) newest(constraint string) ([]Target, error) {
	allowed, err := semver.NewConstraint(constraint)
	if err != nil {
		return nil, fmt.Errorf("semver range %q: %w: %w", constraint, ErrInvalidReference, err)
	}
	var best *semver.Version
	var targets []Target
	for name := range r.hashes {
		if !name.IsTag() || !threeParts.MatchString(name.Short()) {
			continue
		}
		v, err := semver.NewVersion(name.Short())
		if err != nil || !allowed.Check(v) {
			continue
		}
		t, _ := r.target(name, name.Short())
		switch {
		case best == nil || v.GreaterThan(best):
			best, targets = v, []Target{t}
		case v.Equal(best):
			targets = append(targets, t)
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no match found for semver: %s: %w", constraint, ErrNoRef)
	}
	slices.SortFunc(targets, func(a, b Target) int { return strings.Compare(a.Label, b.Label) })
	return targets, nil
}

// digest returns the SHA-256 of s in hexadecimal digits.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
