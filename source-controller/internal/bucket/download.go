package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/source"
)

const (
	// maxDownloads is how many objects are downloaded at the same time.
	maxDownloads = 64
	// maxBytes bounds all objects of a bucket together: an archive takes no more.
	maxBytes = 2 << 30
)

// errBudget: the objects of a bucket are too much.
var errBudget = fmt.Errorf("%w: the objects have more than the limit of %d bytes together", objects.ErrTooLarge, int64(maxBytes))

// download gets the objects that are not kept from an earlier run, and adapts the index
// to what it got: an object that has changed since it was listed counts as it is now,
// one that is gone does not count.
func (r *Reconciler) download(ctx context.Context, s *scope) error {
	doing := fmt.Sprintf("fetching files from bucket '%s' failed", s.bucket.Spec.BucketName)
	if s.index.exceeds(maxBytes) {
		return s.failed(doing, errBudget)
	}
	r.tidy(ctx, s)
	missing, kept := s.missing()
	if err := r.tellProgress(ctx, s); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	got, err := s.fetchAll(ctx, missing, &budget{left: maxBytes - kept})
	for i, o := range got {
		if o == nil {
			delete(s.index, missing[i].Key)
			continue
		}
		s.index[o.Key] = *o
	}
	if err != nil {
		return s.failed(doing, err)
	}
	return nil
}

// tidy removes the objects that are kept and not wanted any more, which makes room for
// others. What cannot be removed now is tried again at the next change.
func (r *Reconciler) tidy(ctx context.Context, s *scope) {
	wanted := make(map[string]bool, len(s.index)+1)
	for _, o := range s.index {
		wanted[s.name(o)] = true
	}
	if s.ignore != nil {
		wanted[s.name(*s.ignore)] = true
	}
	if _, err := s.folder.Retain(func(name string) bool { return wanted[name] }); err != nil {
		log.FromContext(ctx).Error(err, "removing downloaded objects that are not wanted any more")
	}
}

// tellProgress says that the first artifact is on its way, which may take long. While it
// fails, that is what users have to see.
func (r *Reconciler) tellProgress(ctx context.Context, s *scope) error {
	if s.bucket.Status.Artifact != nil || source.Failing(s.bucket) {
		return nil
	}
	source.MarkBuilding(s.bucket, sourcev1.ReasonNewRevision, fmt.Sprintf("new upstream revision '%s'", s.index.revision()))
	if err := r.save(ctx, s.bucket); err != nil {
		return fmt.Errorf("saving progress: %w", err)
	}
	return nil
}

// missing returns the objects that are not kept, in order, and how many bytes the
// others have.
func (s *scope) missing() (missing []objects.Object, kept int64) {
	for _, o := range s.index.sorted() {
		n, ok := s.folder.Size(s.name(o))
		if !ok {
			missing = append(missing, o)
		}
		kept += n
	}
	return missing, kept
}

// fetchAll downloads objects. Of each it returns what it got, nil if the object is gone.
// After an error it begins no more; of several, the first in order is returned, which is
// the same each time.
func (s *scope) fetchAll(ctx context.Context, list []objects.Object, b *budget) ([]*objects.Object, error) {
	got, errs := make([]*objects.Object, len(list)), make([]error, len(list))
	var stop atomic.Bool
	var g errgroup.Group
	g.SetLimit(maxDownloads)
	for i, o := range list {
		if stop.Load() {
			break
		}
		g.Go(func() error {
			fresh, err := s.fetch(ctx, o, b.writer)
			switch {
			case err == nil:
				got[i] = &fresh
			case !errors.Is(err, objects.ErrGone):
				errs[i] = fmt.Errorf("failed to get '%s' object: %w", o.Key, err)
				stop.Store(true)
			}
			return nil
		})
	}
	_ = g.Wait() // errs has them all
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return got, nil
}

// fetch downloads one object and keeps it. bound returns what is written to instead of
// w, and how many bytes may be.
func (s *scope) fetch(ctx context.Context, o objects.Object, bound func(w io.Writer) (io.Writer, int64)) (objects.Object, error) {
	var got objects.Object
	err := s.folder.Put(func(w io.Writer) (string, error) {
		w, limit := bound(w)
		var err error
		if got, err = s.storage.Get(ctx, o, w, limit); err != nil {
			return "", err
		}
		got.Key = o.Key
		return s.name(got), check(got)
	})
	return got, err
}

// budget is how many bytes all downloads together may have.
type budget struct{ left int64 }

// writer returns a Writer to w that takes from the budget.
func (b *budget) writer(w io.Writer) (io.Writer, int64) {
	return writerFunc(func(p []byte) (int, error) {
		if atomic.AddInt64(&b.left, -int64(len(p))) < 0 {
			return 0, errBudget
		}
		return w.Write(p)
	}), maxBytes
}

// writerFunc is a function as a Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
