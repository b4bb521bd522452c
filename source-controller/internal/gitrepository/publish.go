package gitrepository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// maxIgnoreFile bounds one .sourceignore file.
const maxIgnoreFile = 1 << 20

// publish writes the archive of the snapshot, straight from its tree, and
// advertises it.
func (r *Reconciler) publish(_ context.Context, s *scope) error {
	dir, err := artifact.NewDir(sourcev1.GitRepositoryKind, s.repo.Namespace, s.repo.Name)
	if err != nil {
		return loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	path, err := dir.File(s.target.Commit.String() + ".tar.gz")
	if err != nil {
		return loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	entries, err := kept(s.snapshot, s.repo.Spec.Ignore)
	if err != nil {
		return loop.Fail(sourcev1.ReasonGitOperationFailed, err)
	}
	stored, err := r.files.Put(path, func(w io.Writer) error { return pack(w, s.snapshot, entries) })
	if errors.Is(err, git.ErrDamaged) {
		// The next run fetches anew.
		err = errors.Join(err, r.stores.For(s.remote).Discard())
	}
	if err != nil {
		return loop.Fail(sourcev1.ReasonArchiveOperationFailed, fmt.Errorf("unable to archive artifact to storage: %w", err))
	}
	s.repo.Status.Artifact = &meta.Artifact{
		Path:           path.String(),
		URL:            path.URL(r.baseURL),
		Revision:       s.target.Revision(),
		Digest:         stored.Digest.String(),
		Size:           &stored.Size,
		LastUpdateTime: metav1.Now(),
	}
	s.repo.Status.ObservedIgnore = s.repo.Spec.Ignore
	r.subjects.Store(s.repo.UID, subject(s.snapshot.Commit.Message))
	return nil
}

// pack writes entries as an archive.
func pack(w io.Writer, snapshot *git.Snapshot, entries []git.Entry) error {
	a := archive.NewWriter(w, archive.Limits{MaxSize: -1}) // the store has the limit
	for _, e := range entries {
		if err := packEntry(a, snapshot, e); err != nil {
			return err
		}
	}
	return a.Close()
}

func packEntry(a *archive.Writer, snapshot *git.Snapshot, e git.Entry) error {
	if e.Dir {
		return a.Dir(e.Path)
	}
	content, size, err := snapshot.Open(e)
	if err != nil {
		return err
	}
	return errors.Join(a.File(e.Path, e.Executable, size, content), content.Close())
}

// kept returns what of a snapshot goes into the archive, in the order of the
// archive.
func kept(snapshot *git.Snapshot, ignore *string) ([]git.Entry, error) {
	entries, err := snapshot.Entries()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b git.Entry) int { return archive.Compare(a.Path, b.Path) })
	rules, err := ignoreRules(snapshot, entries)
	if err != nil {
		return nil, err
	}
	if ignore != nil {
		rules = append(rules, sourceignore.ReadPatterns(strings.NewReader(*ignore), nil)...)
	}
	matcher := sourceignore.NewDefaultMatcher(rules, nil)
	return slices.DeleteFunc(entries, func(e git.Entry) bool { return ignored(matcher, e) }), nil
}

func ignored(matcher gitignore.Matcher, e git.Entry) bool {
	return matcher.Match(strings.Split(e.Path, "/"), e.Dir)
}

// ignoreRules reads the .sourceignore files of a snapshot. The rules of each count
// below its own folder.
func ignoreRules(snapshot *git.Snapshot, entries []git.Entry) ([]gitignore.Pattern, error) {
	var rules []gitignore.Pattern
	for _, e := range entries {
		parts := strings.Split(e.Path, "/")
		if e.Dir || parts[len(parts)-1] != sourceignore.IgnoreFile {
			continue
		}
		data, err := readSmall(snapshot, e, maxIgnoreFile)
		if err != nil {
			return nil, err
		}
		rules = append(rules, sourceignore.ReadPatterns(bytes.NewReader(data), parts[:len(parts)-1])...)
	}
	return rules, nil
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
