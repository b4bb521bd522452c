package git

import (
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// Branches returns the names of the branches, sorted.
func (r Refs) Branches() []string {
	var names []string
	for name := range r.hashes {
		if name.IsBranch() {
			names = append(names, name.Short())
		}
	}
	slices.Sort(names)
	return names
}

// DefaultBranch returns the branch that a clone would check out; "" if the remote does not
// tell, or has no such branch.
func (r Refs) DefaultBranch() string {
	if _, ok := r.hashes[plumbing.NewBranchReferenceName(r.head)]; !ok {
		return ""
	}
	return r.head
}

// headBranch returns the branch that HEAD stands for; "" if a server does not say.
func headBranch(able *capability.List) string {
	for _, ref := range able.Get(capability.SymRef) {
		name, target, _ := strings.Cut(ref, ":")
		if branch, ok := strings.CutPrefix(target, "refs/heads/"); ok && name == plumbing.HEAD.String() {
			return branch
		}
	}
	return ""
}
