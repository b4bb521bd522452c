package writeback

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"weir.dev/image-controller/internal/setters"
	"weir.dev/pkg/git"
)

// maxDiffering is how many files are compared of two commits.
const maxDiffering = 1 << 12

// Alike reports whether two commits differ in nothing but marked values: whether setting
// what the policies say makes the same of both, to the byte, in all of the repository.
// Then whatever one has beside the other is what the policies replace.
func Alike(a, b *git.Snapshot, refs setters.Refs) (bool, error) {
	one, err := a.Commit.Tree()
	if err != nil {
		return false, fmt.Errorf("commit %s: %w", a.Commit.Hash, err)
	}
	other, err := b.Commit.Tree()
	if err != nil {
		return false, fmt.Errorf("commit %s: %w", b.Commit.Hash, err)
	}
	c := comparison{refs: refs}
	return c.trees(one, other, ".", 0)
}

// comparison compares two commits.
type comparison struct {
	refs  setters.Refs
	files int
}

// trees compares two folders. What has another mode, name or kind differs.
func (c *comparison) trees(a, b *object.Tree, at string, depth int) (bool, error) {
	if len(a.Entries) != len(b.Entries) || depth > maxDepth {
		return false, nil
	}
	for i, one := range a.Entries {
		other := b.Entries[i]
		switch {
		case one == other:
			continue
		case one.Name != other.Name || one.Mode != other.Mode:
			return false, nil
		}
		alike, err := c.entries(a, b, one, other, path.Join(at, one.Name), depth)
		if err != nil || !alike {
			return false, err
		}
	}
	return true, nil
}

// entries compares two entries of one name and mode whose content is not the same.
func (c *comparison) entries(a, b *object.Tree, one, other object.TreeEntry, at string, depth int) (bool, error) {
	switch one.Mode {
	case filemode.Dir:
		x, err := a.Tree(one.Name)
		y, otherErr := b.Tree(other.Name)
		if err := errors.Join(err, otherErr); err != nil {
			return false, fmt.Errorf("folder %q: %w", at, err)
		}
		return c.trees(x, y, at, depth+1)
	case filemode.Regular, filemode.Executable, filemode.Deprecated:
		if c.files++; c.files > maxDiffering || !setters.Candidate(at) {
			return false, nil
		}
		x, err := c.set(a, one)
		y, otherErr := c.set(b, other)
		if err := errors.Join(err, otherErr); err != nil {
			return false, fmt.Errorf("file %q: %w", at, err)
		}
		return x != nil && bytes.Equal(x, y), nil
	default:
		return false, nil
	}
}

// set returns a file with what the policies say; nil if that cannot be known.
func (c *comparison) set(t *object.Tree, e object.TreeEntry) ([]byte, error) {
	file, err := t.TreeEntryFile(&e)
	if err != nil {
		return nil, err
	}
	if file.Size > maxFile {
		return nil, nil
	}
	r, err := file.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, err
	}
	result, err := setters.Set(content, c.refs)
	if err != nil {
		return nil, nil // a file that nobody can update
	}
	return result.Content, nil
}
