package imageupdateautomation

import (
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/setters"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
	"weir.dev/pkg/pullrequest"
)

// scope is what one run knows.
type scope struct {
	auto   *imagev1.ImageUpdateAutomation
	memory *memory

	selector labels.Selector      // by checkSpec: which policies count
	template *writeback.Template  // by checkSpec
	refspec  *git.Refspec         // by checkSpec; nil if there is none
	merge    pullrequest.Settings // by checkSpec

	refs     setters.Refs                  // by findPolicies: what the selected policies mean
	observed imagev1.ObservedPolicies      // by findPolicies: the same, for the status
	known    map[types.NamespacedName]bool // by findPolicies: all policies that there are

	repo *sourcev1.GitRepository // by findSource

	from     git.Reference // by chooseBranches: what to start from
	branch   string        // by chooseBranches: what to push to
	switched bool          // by chooseBranches: whether that is another

	remote  *git.Remote // by connect
	objects *git.Store  // by connect
	signer  git.Signer  // by connect; nil if commits are not signed

	view   view             // by writeBack: the remote as it was last seen
	built  built            // by writeBack: what is to be changed, and of which commit
	wanted writeback.Update // by writeBack: what is to be changed of what to start from
	pushed plumbing.Hash    // by writeBack: the commit that this run has pushed; zero if none
	done   bool             // by writeBack: nothing is new, and what is remembered holds
	merged pullrequest.PullRequest

	release func()      // by waitForTurn: lets the next one have its turn
	open    []io.Closer // snapshots and connections
}

// view is where the refs of the remote are.
type view struct {
	start  git.Target    // what to start from
	tip    plumbing.Hash // of the branch to push to; zero if there is none
	target plumbing.Hash // of what the refspec names; zero if there is none
}

// built is a commit, and what is to be changed of it.
type built struct {
	on     *git.Snapshot
	update writeback.Update
	// renewed says that the commit replaces those that the branch to push to has.
	renewed bool
}

func (s *scope) close() {
	for _, c := range s.open {
		_ = c.Close() // it was only read
	}
	if s.release != nil {
		s.release()
	}
}

func (s *scope) onClose(c io.Closer) { s.open = append(s.open, c) }

// branchRef is the full name of the branch to push to.
func (s *scope) branchRef() plumbing.ReferenceName { return plumbing.NewBranchReferenceName(s.branch) }
