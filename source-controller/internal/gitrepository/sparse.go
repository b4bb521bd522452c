package gitrepository

import (
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// sparse lists what is in some folders of a commit. Of the others nothing is read: neither
// files, nor the rules for ignoring them.
func sparse(snapshot *git.Snapshot, folders []string) ([]git.Entry, error) {
	entries, err := snapshot.EntriesOf(folders)
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonGitOperationFailed, fmt.Errorf("failed to sparse checkout directories : %w", err))
	}
	return entries, nil
}
