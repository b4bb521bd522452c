package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir.dev/pkg/artifact/archive"
	"weir.dev/source-controller/internal/bucket/objects"
)

// publish writes the archive of the objects that are kept, and advertises it.
func (r *Reconciler) publish(_ context.Context, s *scope) error {
	err := r.shelf.Put(s.bucket, s.index.hex()+".tar.gz", s.index.revision(), s.pack)
	if err != nil {
		return err
	}
	s.bucket.Status.ObservedIgnore = s.bucket.Spec.Ignore
	s.did.Stored = fmt.Sprintf("stored artifact with %d fetched files from '%s' bucket", len(s.index), s.bucket.Spec.BucketName)
	return nil
}

// pack writes the objects of the index as an archive.
func (s *scope) pack(w io.Writer) error {
	a := archive.NewWriter(w, archive.Limits{MaxSize: -1}) // the store has the limit
	for _, o := range s.index.sorted() {
		if err := s.packObject(a, o); err != nil {
			return err
		}
	}
	return a.Close()
}

func (s *scope) packObject(a *archive.Writer, o objects.Object) error {
	f, err := s.folder.Open(s.name(o))
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(a.File(o.Key, false, info.Size(), f), f.Close())
}
