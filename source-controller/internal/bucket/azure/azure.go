// Package azure reads the blobs of a container of Azure Blob Storage.
package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"weir.dev/source-controller/internal/bucket/objects"
)

// retries is how often a request is repeated that fails in a way that may go away.
const retries = 2

// Options say which container to read, and how to reach it.
type Options struct {
	Endpoint  string // URL of the account
	Container string
	Login     Login
	Transport *objects.Transport
}

// Bucket is a container, in the words of the others. Its methods may be called at the
// same time.
type Bucket struct {
	container *container.Client
	secrets   []string
}

// Open returns the container that opts describe, and asks nobody.
func Open(opts Options) (*Bucket, error) {
	u, err := url.Parse(opts.Endpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%w: the endpoint is not the http or https URL of an account", objects.ErrInvalid)
	}
	if opts.Container == "" || strings.ContainsAny(opts.Container, "/?#%") {
		return nil, fmt.Errorf("%w: %q is no name of a container", objects.ErrInvalid, opts.Container)
	}
	account := accountOf(u)
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + opts.Container
	opts.Transport.Content = isContent
	c, err := opts.Login.open(u, account, &container.ClientOptions{ClientOptions: clientOptions(opts.Transport.Client())})
	if err != nil {
		return nil, objects.Clean(err, opts.Login.secrets...)
	}
	return &Bucket{container: c, secrets: opts.Login.secrets}, nil
}

func clientOptions(client *http.Client) azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: client,
		Retry:     policy.RetryOptions{MaxRetries: retries, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second},
	}
}

// accountOf returns the account that a URL is of: the first part of the host, or of the
// path, where the host has no parts.
func accountOf(u *url.URL) string {
	host := u.Hostname()
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		account, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		return account
	}
	account, _, _ := strings.Cut(host, ".")
	return account
}

// isContent tells a request for a blob from one about a container.
func isContent(req *http.Request) bool {
	return req.Method == http.MethodGet && !req.URL.Query().Has("comp")
}

// List calls visit for the blobs whose name begins with prefix, until it returns an
// error.
func (b *Bucket) List(ctx context.Context, prefix string, visit func(objects.Object) error) error {
	opts := &container.ListBlobsFlatOptions{}
	if prefix != "" {
		opts.Prefix = &prefix
	}
	pages := b.container.NewListBlobsFlatPager(opts)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			if bloberror.HasCode(err, bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted) || status(err) == http.StatusNotFound {
				return objects.ErrNoBucket
			}
			return b.explain(ctx, err)
		}
		if page.ContainerName == nil && page.ServiceEndpoint == nil {
			// Taken for an empty listing, it would empty the artifact.
			return errors.New("the server answers a listing with something else: is there an Azure Blob Storage at the endpoint?")
		}
		if page.Segment == nil {
			continue
		}
		for _, item := range page.Segment.BlobItems {
			if err := visitItem(item, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// visitItem calls visit for a blob, but not for what is a folder.
func visitItem(item *container.BlobItem, visit func(objects.Object) error) error {
	if item == nil || item.Name == nil || item.Properties == nil {
		return nil
	}
	if t := item.Properties.ResourceType; t != nil && *t == "directory" {
		return nil
	}
	return visit(objectOf(*item.Name, item.Properties.ETag, item.Properties.ContentLength))
}

// Stat tells of a blob.
func (b *Bucket) Stat(ctx context.Context, key string) (objects.Object, error) {
	p, err := b.container.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	return objectOf(key, p.ETag, p.ContentLength), nil
}

// Get writes a blob of at most limit bytes to w, and tells which state of it that was.
func (b *Bucket) Get(ctx context.Context, o objects.Object, w io.Writer, limit int64) (objects.Object, error) {
	res, err := b.container.NewBlobClient(o.Key).DownloadStream(ctx, &blob.DownloadStreamOptions{})
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	defer res.Body.Close()
	n, err := objects.Copy(w, res.Body, limit)
	if err != nil {
		return objects.Object{}, b.explain(ctx, err)
	}
	return objectOf(o.Key, res.ETag, &n), nil
}

func objectOf(key string, etag *azcore.ETag, size *int64) objects.Object {
	o := objects.Object{Key: key, Size: -1}
	if etag != nil {
		o.ETag = strings.Trim(string(*etag), `"`)
	}
	if size != nil {
		o.Size = *size
	}
	return o
}

// status returns the HTTP status of an answer that is an error, or 0.
func status(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// explain turns the errors that a caller acts upon into those of package objects. Those
// of the library quote whole answers.
func (b *Bucket) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var answer *azcore.ResponseError
	switch {
	case bloberror.HasCode(err, bloberror.ContainerNotFound):
		return objects.ErrNoBucket
	case !errors.As(err, &answer):
		return objects.Clean(err, b.secrets...)
	case answer.StatusCode == http.StatusNotFound:
		return objects.ErrGone
	case answer.StatusCode >= http.StatusMultipleChoices && answer.StatusCode < http.StatusBadRequest:
		return fmt.Errorf("the server redirects elsewhere, where the credentials must not go: HTTP status %d", answer.StatusCode)
	}
	short := fmt.Errorf("HTTP status %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.ErrorCode != "" {
		short = fmt.Errorf("%w: %s", short, answer.ErrorCode)
	}
	return objects.Clean(short, b.secrets...)
}
