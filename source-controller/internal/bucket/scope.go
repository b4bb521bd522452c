package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/bucket/mirror"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/source"
)

// storage is what a bucket is read by. Its errors are those of package objects, where
// that has one.
type storage interface {
	// List calls visit for the objects whose key begins with prefix.
	List(ctx context.Context, prefix string, visit func(objects.Object) error) error
	// Stat tells of an object.
	Stat(ctx context.Context, key string) (objects.Object, error)
	// Get writes an object of at most limit bytes to w, and tells its state.
	Get(ctx context.Context, o objects.Object, w io.Writer, limit int64) (objects.Object, error)
}

// scope is what one run knows.
type scope struct {
	bucket *sourcev1.Bucket

	storage storage             // by connect
	origin  string              // by connect: tells the bucket from others
	folder  *mirror.Folder      // by connect: what was downloaded before
	ends    time.Time           // by list: when the listing and the downloads must be over
	listed  []objects.Object    // by list
	ignore  *objects.Object     // by list, or by readIgnoreFile: the .sourceignore file, nil if there is none
	rules   []source.IgnoreFile // by readIgnoreFile
	index   index               // by choose; download adapts it to what it gets

	did source.Deed // by the steps that do what an event tells
}

func (s *scope) close() {
	if s.folder != nil {
		s.folder.Close()
	}
}

// errTimeout is the cause of the end of an exchange that took too long.
func (s *scope) errTimeout() error {
	return errors.New("spec.timeout of " + s.bucket.GetTimeout().String() + " is over")
}

// within bounds a part of the listing and the downloads, which share one time.
func (s *scope) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.ends.IsZero() {
		s.ends = time.Now().Add(s.bucket.GetTimeout())
	}
	return context.WithDeadlineCause(ctx, s.ends, s.errTimeout())
}

// besides bounds what has a time of its own, which it does not take from others.
func (s *scope) besides(ctx context.Context) (context.Context, context.CancelFunc) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, s.bucket.GetTimeout(), s.errTimeout())
	return ctx, func() {
		cancel()
		if !s.ends.IsZero() {
			s.ends = s.ends.Add(time.Since(began))
		}
	}
}

// failed is an error with the reason that a condition gives.
func (s *scope) failed(doing string, err error) error {
	var disk *mirror.DiskError
	switch {
	case errors.As(err, &disk):
		return loop.Fail(sourcev1.ReasonCacheOperationFailed, fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, objects.ErrNoBucket):
		return loop.Fail(sourcev1.ReasonBucketOperationFailed, fmt.Errorf("bucket '%s' not found", s.bucket.Spec.BucketName))
	default:
		return loop.Fail(sourcev1.ReasonBucketOperationFailed, fmt.Errorf("%s: %w", doing, err))
	}
}
