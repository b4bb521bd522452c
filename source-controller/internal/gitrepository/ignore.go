package gitrepository

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// maxIgnoreFile bounds one .sourceignore file.
const maxIgnoreFile = 1 << 20

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
	left := ignoreMatcher(files, ignore)
	entries = slices.DeleteFunc(entries, func(e git.Entry) bool { return left.Match(strings.Split(e.Path, "/"), e.Dir) })
	slices.SortFunc(entries, func(a, b git.Entry) int { return archive.Compare(a.Path, b.Path) })
	return entries, nil
}

// ignoreFile is one .sourceignore file.
type ignoreFile struct {
	folder  string // ends with a slash, unless it is the root, ""
	content []byte
}

// ignoreFiles reads the .sourceignore files of a snapshot.
func ignoreFiles(snapshot *git.Snapshot, entries []git.Entry) ([]ignoreFile, error) {
	var files []ignoreFile
	for _, e := range entries {
		folder, ok := strings.CutSuffix(e.Path, sourceignore.IgnoreFile)
		if e.Dir || !ok || folder != "" && !strings.HasSuffix(folder, "/") {
			continue
		}
		content, err := readSmall(snapshot, e, maxIgnoreFile)
		if err != nil {
			return nil, err
		}
		files = append(files, ignoreFile{folder: folder, content: content})
	}
	return files, nil
}

// ignoreMatcher decides what is left out of an archive. The last rule that matches a
// path counts: those of a folder come after those of the folders above it, and those
// of the spec at last. What Git itself keeps in a repository is left out unless a rule
// brings it back; the other defaults apply only where there is no rule at all.
func ignoreMatcher(files []ignoreFile, ignore *string) gitignore.Matcher {
	slices.SortFunc(files, func(a, b ignoreFile) int { return strings.Compare(a.folder, b.folder) })
	var rules []gitignore.Pattern
	for _, f := range files {
		var domain []string
		if f.folder != "" {
			domain = strings.Split(strings.TrimSuffix(f.folder, "/"), "/")
		}
		rules = append(rules, sourceignore.ReadPatterns(bytes.NewReader(f.content), domain)...)
	}
	if ignore != nil {
		rules = append(rules, sourceignore.ReadPatterns(strings.NewReader(*ignore), nil)...)
	}
	if len(rules) == 0 {
		rules = sourceignore.DefaultPatterns(nil)
	}
	return sourceignore.NewMatcher(append(sourceignore.VCSPatterns(nil), rules...))
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
