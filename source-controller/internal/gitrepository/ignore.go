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

// kept returns which files go into the archive, in its order.
func kept(files []file, ignore *string) ([]file, error) {
	rules, err := ignoreFiles(files)
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonSourceIgnoreError, fmt.Errorf("failed to load source ignore patterns from repository: %w", err))
	}
	ignored := source.Ignored(rules, ignore)
	files = slices.DeleteFunc(files, func(f file) bool { return ignored.Match(strings.Split(f.Path, "/"), f.Dir) })
	slices.SortFunc(files, func(a, b file) int { return archive.Compare(a.Path, b.Path) })
	return files, nil
}

// ignoreFiles reads the .sourceignore files among some.
func ignoreFiles(files []file) ([]source.IgnoreFile, error) {
	var rules []source.IgnoreFile
	for _, f := range files {
		folder, ok := source.IgnoreFolder(f.Path)
		if f.Dir || !ok {
			continue
		}
		content, err := readSmall(f, source.MaxIgnoreFile)
		if err != nil {
			return nil, err
		}
		rules = append(rules, source.IgnoreFile{Folder: folder, Content: content})
	}
	return rules, nil
}

// readSmall reads a file that must not exceed a limit.
func readSmall(f file, limit int64) ([]byte, error) {
	content, size, err := f.open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if size > limit {
		return nil, fmt.Errorf("file %q has %d bytes: %w: the limit is %d", f.Path, size, git.ErrTooLarge, limit)
	}
	return io.ReadAll(io.LimitReader(content, limit))
}
