// Package source is what all kinds of sources have in common: an artifact that the
// status advertises and the storage keeps, the conditions that tell about both, and
// the events that tell of new ones. How an artifact is made is the kind's.
//
// What is advertised is whole, and stays advertised while its successor cannot be
// made.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/loop"
)

// Object is a source: an object of the API that advertises an artifact.
type Object interface {
	loop.Object

	GetArtifact() *meta.Artifact
	SetArtifact(artifact *meta.Artifact)
	GetObservedGeneration() int64
	GetLastHandledReconcileAt() string
}

// Shelf keeps the artifacts of the objects of one kind, and tells consumers where to
// get them.
type Shelf struct {
	kind    string
	files   *store.Store
	baseURL string
}

// NewShelf returns a Shelf for a kind of the API. Consumers reach files under baseURL.
func NewShelf(kind string, files *store.Store, baseURL string) *Shelf {
	return &Shelf{kind: kind, files: files, baseURL: baseURL}
}

// ForgetLost takes from the status an artifact whose file is gone or was altered, so
// that it is made anew; did then tells what was wrong. If consumers reach the files
// under another address now, the status tells it.
func (s *Shelf) ForgetLost(ctx context.Context, obj Object, did *Deed) error {
	a := obj.GetArtifact()
	if a == nil {
		return nil
	}
	path, err := s.path(obj)
	if err == nil {
		err = s.verify(path, a)
	}
	switch {
	case err == nil:
		a.URL = path.URL(s.baseURL)
		return nil
	case errors.Is(err, store.ErrAltered):
		log.FromContext(ctx).Error(err, "artifact verification failed", "path", a.Path)
		if err := s.files.Remove(path); err != nil {
			return loop.Fail(sourcev1.ReasonStatOperationFailed, fmt.Errorf("removing altered artifact: %w", err))
		}
		did.Altered = err
	case errors.Is(err, store.ErrNotFound), path.IsZero():
	default:
		return loop.Fail(sourcev1.ReasonStatOperationFailed, fmt.Errorf("verifying artifact: %w", err))
	}
	obj.SetArtifact(nil)
	conditions.Delete(obj, sourcev1.ConditionArtifactInStorage)
	return nil
}

// Collect removes the artifacts of an object that are no longer advertised. What
// cannot be removed now is tried again at the next run.
func (s *Shelf) Collect(ctx context.Context, obj Object, did *Deed) error {
	if obj.GetArtifact() == nil {
		return nil
	}
	current, err := s.path(obj)
	if err != nil {
		return loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	n, err := s.files.Collect(ctx, current.Dir(), current, time.Now())
	if err != nil {
		log.FromContext(ctx).Error(err, "collecting garbage")
	}
	if n > 0 {
		log.FromContext(ctx).Info("garbage collected artifacts", "artifacts", n)
	}
	did.Collected = n
	return nil
}

// Path returns where a file of an object is, or will be.
func (s *Shelf) Path(obj Object, file string) (artifact.Path, error) {
	dir, err := s.dir(obj)
	if err != nil {
		return artifact.Path{}, loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	path, err := dir.File(file)
	if err != nil {
		return artifact.Path{}, loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	return path, nil
}

// Put stores what write writes under the name file and advertises it as revision.
func (s *Shelf) Put(obj Object, file, revision string, write func(io.Writer) error) error {
	path, err := s.Path(obj, file)
	if err != nil {
		return err
	}
	stored, err := s.files.Put(path, write)
	if err != nil {
		return loop.Fail(sourcev1.ReasonArchiveOperationFailed, fmt.Errorf("unable to archive artifact to storage: %w", err))
	}
	obj.SetArtifact(&meta.Artifact{
		Path:           path.String(),
		URL:            path.URL(s.baseURL),
		Revision:       revision,
		Digest:         stored.Digest.String(),
		Size:           &stored.Size,
		LastUpdateTime: metav1.Now(),
	})
	return nil
}

// Link lets a constant name, such as latest.tar.gz, lead to what is advertised, and
// returns its URL.
func (s *Shelf) Link(obj Object, name string) (string, error) {
	path, err := s.path(obj)
	if err != nil {
		return "", loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	link, err := path.Dir().File(name)
	if err != nil {
		return "", loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	if err := s.files.Link(path, name); err != nil {
		return "", loop.Fail(sourcev1.ReasonSymlinkUpdateFailed, fmt.Errorf("failed to update status URL symlink: %w", err))
	}
	return link.URL(s.baseURL), nil
}

// Open opens the file of the advertised artifact for reading. It is an error that
// wraps store.ErrNotFound if there is none.
func (s *Shelf) Open(obj Object) (*os.File, error) {
	if obj.GetArtifact() == nil {
		return nil, fmt.Errorf("%w: %s %s/%s has none", store.ErrNotFound, s.kind, obj.GetNamespace(), obj.GetName())
	}
	path, err := s.path(obj)
	if err != nil {
		return nil, err
	}
	return s.files.Open(path)
}

// Clear removes all that is kept of an object that is going away.
func (s *Shelf) Clear(obj Object, did *Deed) error {
	dir, err := s.dir(obj)
	if err != nil {
		return err
	}
	if did.Cleared, err = s.files.RemoveAll(dir); err != nil {
		return loop.Fail(sourcev1.ReasonGarbageCollectionFailed, fmt.Errorf("garbage collection for deleted resource failed: %w", err))
	}
	return nil
}

func (s *Shelf) dir(obj Object) (artifact.Dir, error) {
	return artifact.NewDir(s.kind, obj.GetNamespace(), obj.GetName())
}

// path returns the path of the advertised artifact. It must be one of the object
// itself, because files beside it are removed.
func (s *Shelf) path(obj Object) (artifact.Path, error) {
	path, err := artifact.ParsePath(obj.GetArtifact().Path)
	if err != nil {
		return artifact.Path{}, err
	}
	dir, err := s.dir(obj)
	if err != nil {
		return artifact.Path{}, err
	}
	if path.Dir() != dir {
		return artifact.Path{}, fmt.Errorf("artifact %q is not in %q", path, dir)
	}
	return path, nil
}

// verify checks the file of an artifact against its digest.
func (s *Shelf) verify(path artifact.Path, a *meta.Artifact) error {
	d, err := artifact.ParseDigest(a.Digest)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrAltered, err)
	}
	n := int64(-1)
	if a.Size != nil {
		n = *a.Size
	}
	return s.files.Verify(path, d, n)
}
