package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

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
		return err
	}
	stored, err := r.files.Put(path, func(w io.Writer) error { return pack(w, s.snapshot, entries) })
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
	s.deed.published, s.deed.subject = true, subject(s.snapshot.Commit.Message)
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
