package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
)

const (
	// numberFile is the file by which a commit tells which one it is.
	numberFile = "number.txt"

	consumerPause   = 5 * time.Millisecond
	downloadTimeout = 30 * time.Second
)

// library knows the content of every commit: the digests of its files, by the number
// that it tells.
type library struct {
	mu      sync.Mutex
	commits map[string]map[string]string
	numbers map[string]string // by the hash of the commit
}

func newLibrary() *library {
	return &library{commits: make(map[string]map[string]string), numbers: make(map[string]string)}
}

// add notes a commit that is about to be made.
func (l *library) add(number string, files map[string]string) {
	digests := make(map[string]string, len(files))
	for path, content := range files {
		digests[path] = digestOf([]byte(content))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits[number] = digests
}

// name notes the hash of a commit.
func (l *library) name(number, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers[hash] = number
}

// compare returns how files, given by their digests, differ from the commit of the
// number that they tell. hash is that of the commit, if it is known.
func (l *library) compare(number, hash string, files map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	want, ok := l.commits[number]
	if !ok {
		return fmt.Errorf("no commit has the number %q", number)
	}
	if n, ok := l.numbers[hash]; ok && n != number {
		return fmt.Errorf("it is the commit %s, not %s", number, n)
	}
	if diff := cmp.Diff(want, files); diff != "" {
		return fmt.Errorf("it is not the commit %s (-want +got):\n%s", number, diff)
	}
	return nil
}

// consumer downloads artifacts all the time, and fails the test for any byte that is
// wrong. That a download fails is no fault: the server is killed now and then.
type consumer struct {
	t      *testing.T
	client client.Client
	repo   client.ObjectKey
	root   string // URL of the server
	known  *library
	http   http.Client

	mu                  sync.Mutex
	seen                map[string]bool // numbers of the commits that were advertised
	whole, cut, missing int             // downloads
}

// newConsumer returns a consumer that works until the test ends or stop is called.
func newConsumer(w *world, repo *sourcev1.GitRepository, root string, known *library) (c *consumer, stop func()) {
	c = &consumer{
		t: w.t, client: w.Client, repo: client.ObjectKeyFromObject(repo), root: root, known: known,
		http: http.Client{Timeout: downloadTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
		seen: make(map[string]bool),
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			c.readAdvertised(ctx)
			c.readAll(ctx, root+"/")
			w.pass(consumerPause, ctx.Done())
		}
	}()
	stop = func() { cancel(); <-ended }
	w.t.Cleanup(stop)
	return c, stop
}

// readAdvertised downloads what the status advertises.
func (c *consumer) readAdvertised(ctx context.Context) {
	repo, ok := c.status(ctx)
	if !ok || repo.Status.Artifact == nil {
		return
	}
	a := repo.Status.Artifact
	body, found := c.get(ctx, a.URL)
	if !found {
		if body == nil {
			return // the server is down
		}
		if now, ok := c.status(ctx); ok && now.Status.Artifact != nil && now.Status.Artifact.URL == a.URL {
			c.t.Errorf("%s is advertised, but not there", a.URL)
		}
		return
	}
	if got := "sha256:" + digestOf(body); got != a.Digest || a.Size == nil || int64(len(body)) != *a.Size {
		c.t.Errorf("%s has the digest %s and %d bytes; advertised is %+v", a.URL, got, len(body), a)
	}
	_, hash, _ := strings.Cut(a.Revision, "@sha1:")
	if number, ok := c.check(a.URL, hash, body); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[number] = true
	}
}

func (c *consumer) status(ctx context.Context) (*sourcev1.GitRepository, bool) {
	repo := &sourcev1.GitRepository{}
	err := c.client.Get(ctx, c.repo, repo)
	if err != nil && ctx.Err() == nil {
		c.t.Errorf("reading %s: %v", c.repo, err)
	}
	return repo, err == nil
}

var links = regexp.MustCompile(`<a href="([^"]+)">`)

// readAll downloads every archive in a folder of the server and below.
func (c *consumer) readAll(ctx context.Context, folder string) {
	page, found := c.get(ctx, folder)
	base, err := url.Parse(folder)
	if !found || err != nil {
		return
	}
	for _, link := range links.FindAllSubmatch(page, -1) {
		u, err := base.Parse(html.UnescapeString(string(link[1])))
		switch {
		case err != nil:
			c.t.Errorf("%s has a bad link %q: %v", folder, link[1], err)
		case strings.HasSuffix(u.Path, "/"):
			c.readAll(ctx, u.String())
		case strings.HasSuffix(u.Path, ".tar.gz"):
			if body, found := c.get(ctx, u.String()); found {
				c.check(u.String(), strings.TrimSuffix(path.Base(u.Path), ".tar.gz"), body)
			}
		}
	}
}

// get downloads a file. The body is nil if nobody answers, or not to the end; else it
// is what the server says, if only that there is no such file.
func (c *consumer) get(ctx context.Context, from string) (body []byte, found bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		c.t.Errorf("%v", err)
		return nil, false
	}
	res, err := c.http.Do(req)
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.cut++
		return nil, false
	case res.StatusCode != http.StatusOK:
		c.missing++
		return body, false
	default:
		return body, true
	}
}

// check checks that body is the whole archive of a commit, and returns its number.
// name is the hash of the commit, or something else.
func (c *consumer) check(from, name string, body []byte) (number string, ok bool) {
	number, files, err := unpack(body)
	if err == nil {
		err = c.known.compare(number, name, files)
	}
	if err != nil {
		c.t.Errorf("%s, %d bytes, is wrong: %v", from, len(body), err)
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole++
	return number, true
}

// hasSeen reports whether a commit was advertised and found good.
func (c *consumer) hasSeen(number string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[number]
}

// String sums up.
func (c *consumer) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d archives downloaded, of %d commits that were advertised; %d downloads cut off, %d not found",
		c.whole, len(c.seen), c.cut, c.missing)
}

// unpack reads an archive to its very end, and returns the digests of its files, and
// the number of the commit.
func unpack(body []byte) (number string, files map[string]string, err error) {
	zip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	files = make(map[string]string)
	r := tar.NewReader(zip)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return "", nil, err
		}
		if h.Name == numberFile {
			number = string(content)
		}
		files[h.Name] = digestOf(content)
	}
	_, err = io.Copy(io.Discard, zip) // the checksum is at the end
	return number, files, err
}

func digestOf(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }
