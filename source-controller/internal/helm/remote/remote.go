// Package remote reads chart repositories over HTTP: their index, unless it is as it
// was, and their charts.
//
// Credentials, and a client certificate, are shown to the host of the repository only,
// by scheme, name and port; to the host of a chart elsewhere if the caller says so; and
// never to where a redirect leads. Everything that a server sends has a limit. Errors
// are the same each time a request fails in the same way, and repeat neither credentials
// nor the answer of a server.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"weir.dev/pkg/creds"
)

const (
	indexFile = "index.yaml"
	userAgent = "weir"
	// maxRedirects is how often a request may be sent elsewhere.
	maxRedirects = 5
	// maxEarly is how much memory is set aside on the word of a server.
	maxEarly = 16 << 20
)

var (
	// ErrInvalidURL is wrapped by errors about a URL that no repository has.
	ErrInvalidURL = errors.New("invalid Helm repository URL")

	// ErrUnauthorized is wrapped when a server refuses the credentials, or asks for some.
	ErrUnauthorized = errors.New("unauthorized")

	// ErrUntrusted is wrapped when a server is not who it has to be, or would have a
	// request go on without encryption.
	ErrUntrusted = errors.New("server is not trusted")

	// ErrNotFound is wrapped when a server has no such file.
	ErrNotFound = errors.New("not found")

	// ErrTooLarge is wrapped when a file exceeds its limit.
	ErrTooLarge = errors.New("too large")

	// ErrServer is wrapped by all other failures of a server.
	ErrServer = errors.New("server fails")
)

// Access is how a repository is reached, and as whom.
type Access struct {
	URL   string
	Login creds.Basic // empty means that of the URL, if it has one
	TLS   creds.TLS
	// PassCredentials lets the hosts of charts have the credentials too.
	PassCredentials bool
}

// String hides the credentials.
func (a Access) String() string { return "access to a chart repository" }

// GoString hides the credentials.
func (a Access) GoString() string { return "remote.Access{…}" }

// Validators are what a server gave with an index to recognise it by.
type Validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// Answer is what a server has for an index.
type Answer struct {
	Unchanged  bool   // it is the one that the validators are of
	Data       []byte // else
	Validators Validators
}

// Repository is a chart repository.
type Repository struct {
	base   *url.URL // without userinfo; its path ends with one slash
	access Access
	wires  *Wires
}

// Parse reads the URL of a repository.
func Parse(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The reason of net/url may quote a password.
		return nil, fmt.Errorf("%w: it cannot be parsed", ErrInvalidURL)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: '%s' URL scheme cannot be used with 'default' HelmRepository type", ErrInvalidURL, u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: it has no host", ErrInvalidURL)
	}
	return u, nil
}

// Redact is a URL as users may see it: without what it says of who asks.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "…"
	}
	if u.User == nil && u.RawQuery == "" {
		return rawURL
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// Repository returns a repository. It asks nothing yet.
func (w *Wires) Repository(access Access) (*Repository, error) {
	u, err := Parse(access.URL)
	if err != nil {
		return nil, err
	}
	if u.User != nil && access.Login.Empty() {
		password, _ := u.User.Password()
		access.Login = creds.Basic{Username: creds.Hide(u.User.Username()), Password: creds.Hide(password)}
	}
	u.User, u.Fragment = nil, ""
	return &Repository{base: u.JoinPath("/"), access: access, wires: w}, nil
}

// Index reads the index, unless it is the one that known are the validators of.
func (r *Repository) Index(ctx context.Context, known Validators, limit int64) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base.JoinPath(indexFile).String(), nil)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: it names no index", ErrInvalidURL)
	}
	if known.ETag != "" {
		req.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		req.Header.Set("If-Modified-Since", known.LastModified)
	}
	res, err := r.send(req, origin(r.base))
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && known != (Validators{}) {
		return Answer{Unchanged: true, Validators: known}, nil
	}
	if res.StatusCode != http.StatusOK {
		return Answer{}, refusal(res.StatusCode, r.access.Login.Empty())
	}
	data, err := read(ctx, res, limit, "index")
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: data, Validators: Validators{
		ETag: header(res, "ETag"), LastModified: header(res, "Last-Modified"),
	}}, nil
}

// header returns a header of an answer, unless it is too long to be kept.
func header(res *http.Response, name string) string {
	const most = 1024
	if value := res.Header.Get(name); len(value) <= most {
		return value
	}
	return ""
}

// Chart reads a chart. Its URL, as the index has it, may be relative to the repository.
func (r *Repository) Chart(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	u, err := r.resolve(rawURL)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the index has one for the chart that cannot be used", ErrInvalidURL)
	}
	known := origin(r.base)
	if r.access.PassCredentials {
		known = origin(u)
	}
	res, err := r.send(req, known)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res.StatusCode, r.access.Login.Empty())
	}
	return read(ctx, res, limit, "chart")
}

// resolve returns where a chart is.
func (r *Repository) resolve(rawURL string) (*url.URL, error) {
	ref, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: the index has one for the chart that cannot be parsed", ErrInvalidURL)
	}
	u := r.base.ResolveReference(ref)
	if !ref.IsAbs() && ref.Host == "" && u.RawQuery == "" {
		u.RawQuery = r.base.RawQuery
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: the index has one for the chart that is neither http nor https", ErrInvalidURL)
	}
	u.Fragment = ""
	return u, nil
}

// send sends a request, and shows who asks to the host known only.
func (r *Repository) send(req *http.Request, known string) (*http.Response, error) {
	own, others := r.wires.pair(r.access.TLS)
	client := &http.Client{
		Transport:     &guard{known: known, login: r.access.Login, own: own, others: others},
		CheckRedirect: checkRedirect,
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := client.Do(req)
	if err != nil {
		return nil, explain(req.Context(), err)
	}
	return res, nil
}

// read reads a whole answer, which must not exceed a limit.
func read(ctx context.Context, res *http.Response, limit int64, what string) ([]byte, error) {
	if res.ContentLength > limit {
		return nil, fmt.Errorf("%w: the %s has %d bytes, and the limit is %d", ErrTooLarge, what, res.ContentLength, limit)
	}
	// One more than there is, so that the end is seen without growing.
	data := make([]byte, 0, max(512, min(res.ContentLength+1, maxEarly)))
	body := io.LimitReader(res.Body, limit+1)
	for {
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if int64(len(data)) > limit {
			return nil, fmt.Errorf("%w: the %s exceeds the limit of %d bytes", ErrTooLarge, what, limit)
		}
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the %s: %w", what, explain(ctx, err))
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}
