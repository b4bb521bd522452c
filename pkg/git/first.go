package git

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// FirstDraft builds a commit that has no parent, of the files that edits make: that with
// which a repository begins. Push it from nowhere, that is with an Old of zero.
func FirstDraft(edits []Edit, o CommitOptions) (*Draft, error) {
	if len(edits) == 0 {
		return nil, fmt.Errorf("%w: there is no file", ErrNoChange)
	}
	root, err := planEdits(edits)
	if err != nil {
		return nil, err
	}
	d := drafter{seen: make(map[plumbing.Hash]bool)}
	tree, err := d.tree(plumbing.ZeroHash, root, "")
	if err != nil {
		return nil, err
	}
	commit, err := encodeCommit(tree, nil, o)
	if err != nil {
		return nil, fmt.Errorf("drafting commit: %w", err)
	}
	return &Draft{Hash: d.add(piece{kind: plumbing.CommitObject, content: commit}), objects: d.pieces}, nil
}
