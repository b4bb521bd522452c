// Package gcs reads the objects of a bucket of Google Cloud Storage, or of what speaks
// its JSON protocol.
//
// It speaks that protocol itself. The client library of the vendor takes addresses and
// credentials from the environment of the process, which are not the user's.
package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir.dev/source-controller/internal/bucket/objects"
)

const (
	// attempts is how often a request is made that fails in a way that may go away.
	attempts = 3
	// pause comes between two attempts, and grows.
	pause    = 200 * time.Millisecond
	pageSize = "1000"
)

// Options say which bucket to read, and how to reach it.
type Options struct {
	Endpoint  string // host with an optional port
	Bucket    string
	Insecure  bool // plain HTTP
	Login     Login
	Transport *objects.Transport
}

// Bucket is a bucket. Its methods may be called at the same time.
type Bucket struct {
	base  url.URL // of the bucket
	login Login
	http  *http.Client
}

// Open returns the bucket that opts describe, and asks nobody.
func Open(opts Options) (*Bucket, error) {
	base, err := url.Parse("https://" + opts.Endpoint)
	if err != nil || base.Host != opts.Endpoint || base.Hostname() == "" {
		return nil, fmt.Errorf("%w: the endpoint is a host with an optional port, and no URL", objects.ErrInvalid)
	}
	if opts.Bucket == "" || strings.ContainsAny(opts.Bucket, "/?#%") {
		return nil, fmt.Errorf("%w: %q is no name of a bucket", objects.ErrInvalid, opts.Bucket)
	}
	if opts.Insecure {
		base.Scheme = "http"
	}
	if opts.Login.ambient && (opts.Insecure || !isGoogle(base.Hostname())) {
		return nil, fmt.Errorf("%w: an identity of the controller or of a ServiceAccount is shown to https endpoints of Google alone", objects.ErrInvalid)
	}
	base.Path = "/storage/v1/b/" + opts.Bucket
	opts.Transport.Content = func(req *http.Request) bool { return req.URL.Query().Get("alt") == "media" }
	return &Bucket{base: *base, login: opts.Login, http: opts.Transport.Client()}, nil
}

// isGoogle reports whether a host is one of Google's.
func isGoogle(host string) bool { return strings.HasSuffix(host, ".googleapis.com") }

// item is an object as the protocol has it.
type item struct {
	Name       string `json:"name"`
	ETag       string `json:"etag"`
	Size       string `json:"size"`
	Generation string `json:"generation"`
}

func (i item) object() objects.Object {
	size, err := strconv.ParseInt(i.Size, 10, 64)
	if err != nil {
		size = -1
	}
	return objects.Object{Key: i.Name, ETag: i.ETag, Size: size, Version: i.Generation}
}

// List calls visit for the objects whose key begins with prefix, until it returns an
// error.
func (b *Bucket) List(ctx context.Context, prefix string, visit func(objects.Object) error) error {
	q := url.Values{"maxResults": {pageSize}, "fields": {"kind,nextPageToken,items(name,etag,size,generation)"}}
	if prefix != "" {
		q.Set("prefix", prefix)
	}
	for {
		var page struct {
			Kind  string `json:"kind"`
			Items []item `json:"items"`
			Next  string `json:"nextPageToken"`
		}
		if err := b.json(ctx, "/o", q, &page); err != nil {
			if errors.Is(err, objects.ErrGone) {
				return objects.ErrNoBucket
			}
			return err
		}
		if page.Kind != "storage#objects" {
			// Taken for an empty listing, it would empty the artifact.
			return errors.New("the server answers a listing with something else: is there a Google Cloud Storage at the endpoint?")
		}
		for _, i := range page.Items {
			if err := visit(i.object()); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Set("pageToken", page.Next)
	}
}

// Stat tells of an object.
func (b *Bucket) Stat(ctx context.Context, key string) (objects.Object, error) {
	var i item
	if err := b.json(ctx, "/o/"+url.PathEscape(key), url.Values{"fields": {"name,etag,size,generation"}}, &i); err != nil {
		return objects.Object{}, err
	}
	return i.object(), nil
}

// Get writes an object of at most limit bytes to w, and tells which state of it that
// was: the one that o tells of, or what took its place.
func (b *Bucket) Get(ctx context.Context, o objects.Object, w io.Writer, limit int64) (objects.Object, error) {
	if o.Version == "" {
		return b.getLatest(ctx, o.Key, w, limit)
	}
	got, err := b.get(ctx, o, w, limit)
	if errors.Is(err, objects.ErrGone) {
		return b.getLatest(ctx, o.Key, w, limit)
	}
	return got, err
}

func (b *Bucket) getLatest(ctx context.Context, key string, w io.Writer, limit int64) (objects.Object, error) {
	o, err := b.Stat(ctx, key)
	if err != nil {
		return objects.Object{}, err
	}
	return b.get(ctx, o, w, limit)
}

// get gets one state of an object. The ETag of the answer is not that of listings.
func (b *Bucket) get(ctx context.Context, o objects.Object, w io.Writer, limit int64) (objects.Object, error) {
	res, err := b.do(ctx, "/o/"+url.PathEscape(o.Key), url.Values{"alt": {"media"}, "generation": {o.Version}})
	if err != nil {
		return objects.Object{}, err
	}
	defer res.Body.Close()
	n, err := objects.Copy(w, res.Body, limit)
	if err != nil {
		return objects.Object{}, explain(ctx, err)
	}
	o.Size = n
	return o, nil
}

// json reads an answer in JSON into out.
func (b *Bucket) json(ctx context.Context, path string, q url.Values, out any) error {
	res, err := b.do(ctx, path, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return explain(ctx, fmt.Errorf("reading the answer of the server: %w", err))
	}
	return nil
}

// do makes a request until it is answered, a few times at most. The path is escaped.
func (b *Bucket) do(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	u := b.base
	u.RawPath = u.EscapedPath() + path
	u.Path, _ = url.PathUnescape(u.RawPath) // what was escaped just now
	u.RawQuery = q.Encode()
	for n := 1; ; n++ {
		res, again, err := b.try(ctx, u.String())
		if err == nil {
			return res, nil
		}
		if !again || n == attempts || ctx.Err() != nil {
			return nil, explain(ctx, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(n) * pause):
		}
	}
}

// try makes a request once, and tells whether another attempt may help.
func (b *Bucket) try(ctx context.Context, u string) (res *http.Response, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, false, err
	}
	token, err := b.login.token(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("getting an access token: %w", err)
	}
	token.SetAuthHeader(req)
	if res, err = b.http.Do(req); err != nil {
		return nil, true, err
	}
	if res.StatusCode == http.StatusOK {
		return res, false, nil
	}
	defer res.Body.Close()
	return nil, res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests, refusal(res)
}

// refusal turns an answer into an error.
func refusal(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusNotFound:
		return objects.ErrGone
	case res.StatusCode >= http.StatusMultipleChoices && res.StatusCode < http.StatusBadRequest:
		return fmt.Errorf("the server redirects elsewhere, where the access token must not go: HTTP status %d", res.StatusCode)
	}
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.NewDecoder(res.Body).Decode(&body) // an error has a status, whatever else it says
	err := fmt.Errorf("HTTP status %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	if body.Error.Message != "" {
		err = fmt.Errorf("%w: %s", err, body.Error.Message)
	}
	return err
}

func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return objects.Clean(err)
}
