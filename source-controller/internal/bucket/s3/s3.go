// Package s3 reads the objects of a bucket of a storage that speaks the protocol of S3.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"weir.dev/source-controller/internal/bucket/objects"
)

// attempts is how often a request is made that fails in a way that may go away. A run
// that fails is repeated anyhow, later and later.
const attempts = 3

// Options say which bucket to read, and how to reach it.
type Options struct {
	Endpoint  string // host with an optional port
	Bucket    string
	Region    string // empty: the server is asked, once
	Insecure  bool   // plain HTTP
	Login     Login
	Transport *objects.Transport
}

// Bucket is a bucket. Its methods may be called at the same time.
type Bucket struct {
	core    minio.Core
	name    string
	secrets []string
}

// Open returns the bucket that opts describe, and asks nobody.
func Open(opts Options) (*Bucket, error) {
	if strings.Contains(opts.Endpoint, "://") {
		return nil, fmt.Errorf("%w: the endpoint is a host with an optional port, and no URL", objects.ErrInvalid)
	}
	if err := s3utils.CheckValidBucketName(opts.Bucket); err != nil {
		return nil, fmt.Errorf("%w: %w", objects.ErrInvalid, err)
	}
	opts.Transport.Content = isContent
	opts.Transport.Verbatim() // like a client that knows no encoding
	c, err := minio.New(opts.Endpoint, &minio.Options{
		Creds:      opts.Login.credentials,
		Secure:     !opts.Insecure,
		Region:     opts.Region,
		Transport:  listings{opts.Transport},
		MaxRetries: attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objects.ErrInvalid, objects.Clean(err, opts.Login.secrets...))
	}
	return &Bucket{core: minio.Core{Client: c}, name: opts.Bucket, secrets: opts.Login.secrets}, nil
}

// RegionOf returns the region that an endpoint of Amazon names, or nothing.
func RegionOf(endpoint string) string {
	host := endpoint
	if h, _, err := net.SplitHostPort(endpoint); err == nil {
		host = h
	}
	return s3utils.GetRegionFromURL(url.URL{Host: host})
}

// isContent tells a request for an object from one about a bucket, which always has a
// query.
func isContent(req *http.Request) bool { return req.Method == http.MethodGet && req.URL.RawQuery == "" }

// List calls visit for the objects whose key begins with prefix, until it returns an
// error.
func (b *Bucket) List(ctx context.Context, prefix string, visit func(objects.Object) error) error {
	// Google's S3 interface has an old listing only.
	u := url.URL{Host: b.core.EndpointURL().Host}
	opts := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, UseV1: s3utils.IsGoogleEndpoint(u)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // which ends the iteration, however it is left
	for info := range b.core.ListObjectsIter(ctx, b.name, opts) {
		if info.Err != nil {
			return b.explain(ctx, info.Err)
		}
		if err := visit(objectOf(info)); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the iteration just stops, as if that were all
	}
	return nil
}

// Stat tells of an object.
func (b *Bucket) Stat(ctx context.Context, key string) (objects.Object, error) {
	info, err := b.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	return objectOf(info), nil
}

// Get writes an object of at most limit bytes to w, and tells which state of it that
// was.
func (b *Bucket) Get(ctx context.Context, o objects.Object, w io.Writer, limit int64) (objects.Object, error) {
	body, info, _, err := b.core.GetObject(ctx, b.name, o.Key, minio.GetObjectOptions{})
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	defer body.Close()
	got := objectOf(info)
	got.Key = o.Key
	n, err := objects.Copy(w, body, limit)
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	got.Size = n
	return got, nil
}

func objectOf(info minio.ObjectInfo) objects.Object {
	return objects.Object{Key: info.Key, ETag: info.ETag, Size: info.Size}
}

// explain turns the errors that a caller acts upon into those of package objects.
func (b *Bucket) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		switch {
		case answer.Code == minio.NoSuchBucket:
			return objects.ErrNoBucket
		case answer.Code == minio.NoSuchKey:
			return objects.ErrGone
		case answer.StatusCode >= http.StatusMultipleChoices && answer.StatusCode < http.StatusBadRequest:
			return fmt.Errorf("the server redirects elsewhere, where the signature must not go: HTTP status %d: %w", answer.StatusCode, objects.Clean(err, b.secrets...))
		}
	}
	return objects.Clean(err, b.secrets...)
}
