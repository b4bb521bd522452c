package writeback

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"weir.dev/image-controller/internal/setters"
	"weir.dev/pkg/git"
)

// maxProblems bounds how many problems are told of a commit.
const maxProblems = 100

// Problem is something that is not updated though it has a marker.
type Problem struct {
	Path string
	Line int // 0 if it is the whole file
	Text string
}

// String returns the problem in the form of a compiler.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Text
	}
	return p.Path + ":" + strconv.Itoa(p.Line) + ": " + p.Text
}

// Update is what has to be changed for a commit to have what the policies say.
type Update struct {
	Edits    []git.Edit // in the order of their paths
	Changed  Changed
	Problems []Problem // in the order of paths and lines
	Marked   int       // files with markers
	Read     int       // files that were read to find them
}

// Update finds out what has to be changed at a path of a commit, or below. A path that leads
// out of the repository is taken for one in it. Markers of policies that are not in refs but
// known are someone else's, and no problem. The errors that are not the repository's damage
// are ErrNoPath and ErrTooMuch.
func (f *Finder) Update(commit *git.Snapshot, at string, refs setters.Refs, known func(types.NamespacedName) bool) (Update, error) {
	found, err := f.find(commit, at)
	if err != nil {
		return Update{}, err
	}
	u := Update{Marked: len(found.files), Read: found.read}
	var changed []fileChanges
	for _, file := range found.files {
		if file.content == nil {
			u.complain(Problem{Path: file.path, Text: fmt.Sprintf("the file has markers, and is not updated: it has more than %d bytes", maxFile)})
			continue
		}
		result, err := setters.Set(file.content, refs)
		if err != nil {
			u.complain(Problem{Path: file.path, Text: "the file has markers, and is not updated: " + err.Error()})
			continue
		}
		for _, note := range result.Notes {
			if note.Problem == setters.ProblemUnknownPolicy && known(note.Policy) {
				continue
			}
			u.complain(Problem{Path: file.path, Line: note.Line, Text: note.Problem + ": " + note.Marker})
		}
		if len(result.Changes) > 0 && !bytes.Equal(result.Content, file.content) {
			u.Edits = append(u.Edits, git.Edit{Path: file.path, Content: result.Content})
			changed = append(changed, fileChanges{path: file.path, changes: result.Changes})
		}
	}
	u.Changed = newChanged(changed)
	return u, nil
}

func (u *Update) complain(p Problem) {
	if len(u.Problems) < maxProblems {
		u.Problems = append(u.Problems, p)
	}
}

// Empty reports whether nothing has to be changed.
func (u Update) Empty() bool { return len(u.Edits) == 0 }

// Holds reports whether a commit has at the paths of edits what the edits would make of
// them.
func Holds(commit *git.Snapshot, edits []git.Edit) (bool, error) {
	s := &search{commit: commit}
	for _, edit := range edits {
		e, err := s.entry(edit.Path)
		switch {
		case errors.Is(err, ErrNoPath), err == nil && e.Dir:
			return false, nil
		case err != nil:
			return false, err
		}
		same, err := s.holds(e, edit.Content)
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (s *search) holds(e git.Entry, content []byte) (bool, error) {
	size, err := s.commit.Size(e)
	if err != nil || size != int64(len(content)) {
		return false, err
	}
	there, _, err := s.content(e)
	return err == nil && bytes.Equal(there, content), err
}
