package gitrepository

import (
	"fmt"
	"io"
	"slices"
	"strings"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// kept returns what of a snapshot goes into the archive, in the order of the
// archive.
func kept(snapshot *git.Snapshot, ignore *string) ([]git.Entry, error) {
	entries, err := snapshot.Entries()
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonGitOperationFailed, fmt.Errorf("reading the tree of commit %s: %w", snapshot.Commit.Hash, err))
	}
	files, err := ignoreFiles(snapshot, entries)
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonSourceIgnoreError, fmt.Errorf("failed to load source ignore patterns from repository: %w", err))
	}
	ignored := source.Ignored(files, ignore)
	entries = slices.DeleteFunc(entries, func(e git.Entry) bool { return ignored.Match(strings.Split(e.Path, "/"), e.Dir) })
	slices.SortFunc(entries, func(a, b git.Entry) int { return archive.Compare(a.Path, b.Path) })
	return entries, nil
}

// ignoreFiles reads the .sourceignore files of a snapshot.
func ignoreFiles(snapshot *git.Snapshot, entries []git.Entry) ([]source.IgnoreFile, error) {
	var files []source.IgnoreFile
	for _, e := range entries {
		folder, ok := source.IgnoreFolder(e.Path)
		if e.Dir || !ok {
			continue
		}
		content, err := readSmall(snapshot, e, source.MaxIgnoreFile)
		if err != nil {
			return nil, err
		}
		files = append(files, source.IgnoreFile{Folder: folder, Content: content})
	}
	return files, nil
}

// readSmall reads a file that must not exceed a limit.
func readSmall(snapshot *git.Snapshot, e git.Entry, limit int64) ([]byte, error) {
	content, size, err := snapshot.Open(e)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if size > limit {
		return nil, fmt.Errorf("file %q has %d bytes: %w: the limit is %d", e.Path, size, git.ErrTooLarge, limit)
	}
	return io.ReadAll(io.LimitReader(content, limit))
}
