package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/artifact/fetch"
)

func TestManyCallersShareOneDownload(t *testing.T) {
	const callers = 20
	files := map[string]string{"a/1": "one", "a/2": "two", "b": strings.Repeat("x", 100_000)}
	content, digest := pack(t, files)
	arrived := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-arrived // nobody is served before everybody asked
		w.Write(content)
	})
	c := newCache(t, fetch.Options{})
	var wg sync.WaitGroup
	trees := make([]*fetch.Tree, callers)
	for i := range callers {
		wg.Go(func() {
			tree, err := c.Get(t.Context(), server.URL+"/a.tar.gz", digest)
			if err != nil {
				t.Error(err)
				return
			}
			trees[i] = tree
			for name, want := range files {
				if got, err := tree.ReadFile(name); err != nil || string(got) != want {
					t.Errorf("%q = %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
	waitFor(t, "everybody to ask", func() bool { return c.Stats().Hits == callers-1 })
	close(arrived)
	wg.Wait()
	want := fetch.Stats{Requests: 1, Downloads: 1, Bytes: int64(len(content)), Hits: callers - 1, Trees: 1, Unpacked: 100_006}
	if got := c.Stats(); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
	for _, tree := range trees {
		tree.Release()
		tree.Release()
	}
	if tree := get(t, c, server.URL, digest); tree.Digest() != artifact.Digest(digest) {
		t.Errorf("digest = %s", tree.Digest())
	}
	if got := c.Stats(); got.Requests != 1 || got.Hits != callers {
		t.Errorf("after another Get: %+v", got)
	}
}

func TestGetReports(t *testing.T) {
	good, digest := pack(t, map[string]string{"a": "content", "b/c": strings.Repeat("x", 5000)})
	bomb, bombDigest := pack(t, map[string]string{"bomb": strings.Repeat("\x00", 10<<20)})
	deep, deepDigest := pack(t, map[string]string{strings.Repeat("d/", 100) + "1": "", strings.Repeat("e/", 100) + "2": ""})
	evil := gz(t, rawTar(t, "../../escape", "x"))
	both := gz(t, rawTar(t, "a", "x", "a/b", "x"))
	garbage := []byte("<html>this is no artifact</html>")

	tests := map[string]struct {
		why      string
		opts     fetch.Options
		digest   string
		answer   http.HandlerFunc
		is       error
		says     string
		requests int64
	}{
		"not found":             {why: "the object has moved on", digest: digest, answer: status(404), is: fetch.ErrNotFound, requests: 1},
		"forbidden":             {why: "no later answer would differ", digest: digest, answer: status(403), says: `"403 Forbidden"`, requests: 1},
		"other content":         {why: "stored again under the same name", digest: digestOf([]byte("other")), answer: body(good), is: fetch.ErrDigestMismatch, says: "it is " + digest, requests: 1},
		"an error page":         {why: "it is not the artifact; that it is no archive says less", digest: digest, answer: body(garbage), is: fetch.ErrDigestMismatch, requests: 1},
		"nothing":               {why: "an empty answer is not the artifact", digest: digest, answer: body(nil), is: fetch.ErrDigestMismatch, requests: 1},
		"published garbage":     {why: "the digest is right, so the publisher is wrong", digest: digestOf(garbage), answer: body(garbage), is: fetch.ErrCorrupt, requests: 1},
		"a published half":      {why: "the digest is right, so the publisher is wrong", digest: digestOf(good[:len(good)/2]), answer: body(good[:len(good)/2]), is: fetch.ErrCorrupt, requests: 1},
		"a path that escapes":   {why: "nothing is unpacked from such an archive", digest: digestOf(evil), answer: body(evil), is: fetch.ErrCorrupt, says: "leaves the archive", requests: 1},
		"a file and directory":  {why: "one path, two kinds", digest: digestOf(both), answer: body(both), is: fetch.ErrCorrupt, says: "file and a directory", requests: 1},
		"too large":             {why: "announced, so not even read", opts: fetch.Options{MaxDownload: 10}, digest: digest, answer: body(good), is: fetch.ErrTooLarge, says: "10 bytes", requests: 1},
		"too large, unnoticed":  {why: "not announced", opts: fetch.Options{MaxDownload: 10}, digest: digest, answer: chunked(good), is: fetch.ErrTooLarge, says: "10 bytes", requests: 1},
		"a zip bomb":            {why: "ten kilobytes become ten megabytes", opts: fetch.Options{MaxUnpacked: 1 << 20}, digest: bombDigest, answer: body(bomb), is: fetch.ErrTooLarge, says: "the content exceeds", requests: 1},
		"too many files":        {why: "each takes memory", opts: fetch.Options{MaxFiles: 2}, digest: digest, answer: body(good), is: fetch.ErrTooLarge, says: "limit of 2 files", requests: 1},
		"too many directories":  {why: "made by few entries", opts: fetch.Options{MaxFiles: 150}, digest: deepDigest, answer: body(deep), is: fetch.ErrTooLarge, says: "limit of 150 files", requests: 1},
		"server errors":         {why: "tried again, but not forever", opts: fetch.Options{Retries: 2}, digest: digest, answer: status(503), says: `"503 Service Unavailable" (3 attempts)`, requests: 3},
		"no retries":            {why: "negative means none", opts: fetch.Options{Retries: -1}, digest: digest, answer: status(500), says: `"500 Internal Server Error"`, requests: 1},
		"truncated each time":   {why: "the connection breaks before the announced end", opts: fetch.Options{Retries: 1}, digest: digest, answer: cut(good), says: "the connection broke after", requests: 2},
		"no headers":            {why: "a server that hangs must not hold a worker", opts: fetch.Options{Retries: 1, Stall: 30 * time.Millisecond}, digest: digest, answer: hang, says: "the server was silent for 30ms (2 attempts)", requests: 2},
		"half a body, no more":  {why: "a server that hangs must not hold a worker", opts: fetch.Options{Retries: 1, Stall: 30 * time.Millisecond}, digest: digest, answer: hangAfter(good[:len(good)/2]), says: "the server was silent for 30ms (2 attempts)", requests: 2},
		"to another host":       {why: "could be one that only we reach", digest: digest, answer: redirect("http://127.0.0.1:1/secret"), says: "redirect refused", requests: 1},
		"in circles":            {why: "never ends", digest: digest, answer: redirect("/again"), says: "redirect refused: more than 10", requests: 1},
		"without a digest":      {why: "nothing could be verified", digest: "", answer: body(good), says: "digest is empty"},
		"with an odd digest":    {why: "nothing could be verified", digest: "blake3:00", answer: body(good), says: "blake3"},
		"by another algorithm":  {why: "it is the caller who says which", digest: "sha512:" + strings.Repeat("0", 128), answer: body(good), is: fetch.ErrDigestMismatch, says: "it is sha512:", requests: 1},
		"a good archive's head": {why: "a proxy may cut an answer without a word", digest: digest, answer: body(good[:len(good)-1]), is: fetch.ErrDigestMismatch, requests: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, tc.answer)
			c := newCache(t, tc.opts)
			tree, err := c.Get(t.Context(), server.URL+"/x.tar.gz?token=secret", tc.digest)
			if tree != nil || err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Get() = %v, %v; want %v, %q (%s)", tree, err, tc.is, tc.says, tc.why)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("the error shows the query: %v", err)
			}
			got := c.Stats()
			if got.Requests != tc.requests || got.Downloads != 0 || got.Trees != 0 {
				t.Errorf("stats = %+v; want %d requests (%s)", got, tc.requests, tc.why)
			}
			noFiles(t, c, tc.why)
		})
	}
}

func TestGetSucceedsInTheEnd(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": strings.Repeat("x", 10_000)})
	tests := map[string]struct {
		why     string
		answers []http.HandlerFunc
	}{
		"after server errors":     {why: "it was starting", answers: []http.HandlerFunc{status(500), status(503), body(content)}},
		"after a cut":             {why: "a proxy was replaced", answers: []http.HandlerFunc{cut(content), body(content)}},
		"after a hang":            {why: "a node was lost", answers: []http.HandlerFunc{hang, hangAfter(content[:100]), body(content)}},
		"after a lost connection": {why: "the server was replaced", answers: []http.HandlerFunc{abort, body(content)}},
		"after a redirect":        {why: "on the same host", answers: []http.HandlerFunc{redirect("/elsewhere"), body(content)}},
		"slowly":                  {why: "only silence ends a request, not the time it takes", answers: []http.HandlerFunc{dribble(content)}},
		"labelled as compressed":  {why: "a server may take the file's own compression for one of the transfer", answers: []http.HandlerFunc{encoded(content)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) { tc.answers[asked.Add(1)-1](w, r) })
			c := newCache(t, fetch.Options{Stall: 300 * time.Millisecond})
			tree := get(t, c, server.URL, digest)
			if b, err := tree.ReadFile("a"); len(b) != 10_000 || err != nil {
				t.Errorf("%d bytes, %v (%s)", len(b), err, tc.why)
			}
			if asked.Load() != int64(len(tc.answers)) {
				t.Errorf("%d requests, want %d (%s)", asked.Load(), len(tc.answers), tc.why)
			}
		})
	}
}

func TestUnreachableServerIsTriedAgain(t *testing.T) {
	_, digest := pack(t, nil)
	server := httptest.NewServer(status(200))
	server.Close()
	c := newCache(t, fetch.Options{Retries: 2})
	_, err := c.Get(t.Context(), server.URL, digest)
	if err == nil || !strings.Contains(err.Error(), "connection refused (3 attempts)") || c.Stats().Requests != 3 {
		t.Errorf("Get() = %v after %d requests", err, c.Stats().Requests)
	}
}

func TestDownloadOutlivesACallerWhoLeaves(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	arrived, goOn := make(chan struct{}), make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-goOn
		w.Write(content)
	})
	c := newCache(t, fetch.Options{})
	first, leave := context.WithCancelCause(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := c.Get(first, server.URL, digest)
		left <- err
	}()
	<-arrived
	stayed := make(chan *fetch.Tree, 1)
	go func() {
		tree, err := c.Get(t.Context(), server.URL, digest)
		if err != nil {
			t.Error(err)
		}
		stayed <- tree
	}()
	waitFor(t, "the second caller", func() bool { return c.Stats().Hits == 1 })
	leave(errBoom)
	if err := <-left; !errors.Is(err, errBoom) {
		t.Errorf("the caller who left got %v", err)
	}
	close(goOn)
	if tree := <-stayed; tree != nil {
		tree.Release()
	}
	if got := c.Stats(); got.Requests != 1 || got.Downloads != 1 {
		t.Errorf("stats = %+v", got)
	}
}

func TestDownloadEndsWithTheLastCaller(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	var asked atomic.Int64
	ended := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			w.Write(content)
			return
		}
		<-r.Context().Done()
		close(ended)
	})
	c := newCache(t, fetch.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := c.Get(ctx, server.URL, digest); !errors.Is(err, context.Canceled) {
				t.Errorf("Get() = %v", err)
			}
		})
	}
	waitFor(t, "all callers", func() bool { return asked.Load() == 1 && c.Stats().Hits == 2 })
	cancel()
	wg.Wait()
	<-ended
	get(t, c, server.URL, digest) // not the download that was given up
}

func TestSlowDownloadBlocksNoOther(t *testing.T) {
	_, slow := pack(t, map[string]string{"a": "slow"})
	content, fast := pack(t, map[string]string{"a": "fast"})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		w.Write(content)
	})
	c := newCache(t, fetch.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Get(ctx, server.URL+"/slow", slow) })
	waitFor(t, "the slow request", func() bool { return c.Stats().Requests == 1 })
	get(t, c, server.URL+"/fast", fast)
	cancel()
	wg.Wait()
}

func TestEachCallerGetsAnAnswerFromItsOwnServer(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	arrived, goOn := make(chan struct{}), make(chan struct{})
	gone := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-goOn
		w.WriteHeader(http.StatusNotFound)
	})
	good := serve(t, body(content))
	c := newCache(t, fetch.Options{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Get(t.Context(), gone.URL, digest); !errors.Is(err, fetch.ErrNotFound) {
			t.Errorf("Get() = %v, want %v", err, fetch.ErrNotFound)
		}
	})
	<-arrived
	wg.Go(func() { get(t, c, good.URL, digest) })
	waitFor(t, "the second caller", func() bool { return c.Stats().Hits == 1 })
	close(goOn)
	wg.Wait()
}

func TestUnusedTreesAreEvictedByAge(t *testing.T) {
	const idle = 2
	var contents [5][]byte
	var digests [5]string
	for i := range contents {
		contents[i], digests[i] = pack(t, map[string]string{"a": fmt.Sprint(i)})
	}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(contents[r.URL.Path[1]-'0'])
	})
	c := newCache(t, fetch.Options{Idle: idle})
	use := func(i int) *fetch.Tree {
		t.Helper()
		tree, err := c.Get(t.Context(), fmt.Sprintf("%s/%d", server.URL, i), digests[i])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.ReadFile("a"); err != nil || string(got) != fmt.Sprint(i) {
			t.Fatalf("tree %d has %q, %v", i, got, err)
		}
		return tree
	}
	held := use(0) // stays, however long it is not asked for
	for i := 1; i < 5; i++ {
		use(i).Release()
	}
	if got := c.Stats(); got.Evictions != 2 || got.Trees != 1+idle || got.Unpacked != 1+idle {
		t.Errorf("stats = %+v", got)
	}
	use(3).Release() // now 4 is the oldest
	use(1).Release()
	requests := c.Stats().Requests
	use(3).Release()
	if got := c.Stats().Requests; got != requests {
		t.Error("the one that was used last was evicted")
	}
	use(4).Release()
	if got := c.Stats().Requests; got != requests+1 {
		t.Error("the one that was not used was kept")
	}
	if got, err := held.ReadFile("a"); err != nil || string(got) != "0" {
		t.Errorf("the tree that is held has %q, %v", got, err)
	}
	held.Release()
	if n := len(filesIn(t, c)); n != idle {
		t.Errorf("%d files on disk, want %d", n, idle)
	}
}

func TestNoIdleTreesOnRequest(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	server := serve(t, body(content))
	c := newCache(t, fetch.Options{Idle: -1})
	tree, err := c.Get(t.Context(), server.URL, digest)
	if err != nil {
		t.Fatal(err)
	}
	tree.Release()
	noFiles(t, c, "none is to be kept")
}

func TestNewRemovesOldTreesOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by-new")
	content, digest := pack(t, map[string]string{"a": "x"})
	server := serve(t, body(content))
	crashed, err := fetch.New(fetch.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crashed.Get(t.Context(), server.URL, digest); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "not-ours")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.New(fetch.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || !slices.Equal(got, []string{foreign}) {
		t.Errorf("left are %q, %v", got, err)
	}
	if _, err := fetch.New(fetch.Options{}); err == nil {
		t.Error("New took no directory")
	}
}

func TestRewriteChangesWhereToConnect(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gitrepository/a/b/c.tar.gz" {
			w.Write(content)
		}
	})
	here, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(t, fetch.Options{Rewrite: func(u *url.URL) { u.Host = here.Host }})
	get(t, c, "http://source-controller.flux-system.svc.cluster.local./gitrepository/a/b/c.tar.gz", digest)
}

func TestURLsAreChecked(t *testing.T) {
	_, digest := pack(t, nil)
	c := newCache(t, fetch.Options{})
	for _, raw := range []string{"", "/path", "ftp://host/x", "file:///etc/passwd", "http://", "http://user:secret@host:port/x", "http://[::1/secret"} {
		_, err := c.Get(t.Context(), raw, digest)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Get(%q) = %v", raw, err)
		}
	}
	if n := c.Stats().Requests; n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestClosedCacheEndsEverything(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		w.Write(content)
	})
	c := newCache(t, fetch.Options{})
	tree := get(t, c, server.URL, digest)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, other := pack(t, nil)
		if _, err := c.Get(t.Context(), server.URL+"/hang", other); err == nil {
			t.Error("a download outlived the cache")
		}
	})
	waitFor(t, "the second request", func() bool { return c.Stats().Requests == 2 })
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := tree.ReadFile("a"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a tree can be read: %v", err)
	}
	if _, err := c.Get(t.Context(), server.URL, digest); err == nil {
		t.Error("a closed cache fetches")
	}
	noFiles(t, c, "closing removes them")
}

// TestManyUsersAtOnce is for the race detector: gets, reads, releases and evictions interleave.
func TestManyUsersAtOnce(t *testing.T) {
	var contents [6][]byte
	var digests [6]string
	for i := range contents {
		contents[i], digests[i] = pack(t, map[string]string{"a": fmt.Sprint(i)})
	}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(contents[r.URL.Path[1]-'0'])
	})
	c := newCache(t, fetch.Options{Idle: 1})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				k := (worker*31 + i*7) % len(digests)
				ctx, cancel := context.WithCancel(t.Context())
				if i%10 == 0 {
					cancel() // some do not wait
				}
				tree, err := c.Get(ctx, fmt.Sprintf("%s/%d", server.URL, k), digests[k])
				cancel()
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					continue
				}
				if got, err := tree.ReadFile("a"); err != nil || string(got) != fmt.Sprint(k) {
					t.Errorf("tree %d has %q, %v", k, got, err)
				}
				tree.Release()
			}
		})
	}
	wg.Wait()
	waitFor(t, "given-up downloads to end", func() bool { return len(filesIn(t, c)) <= 1 })
	if got := c.Stats(); got.Trees > 1 || got.Downloads-got.Evictions != int64(got.Trees) {
		t.Errorf("stats = %+v", got)
	}
}

var errBoom = errors.New("boom")

func newCache(t testing.TB, opts fetch.Options) *cache {
	t.Helper()
	opts.Dir = t.TempDir()
	opts.Backoff = time.Millisecond
	c, err := fetch.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &cache{Cache: c, dir: opts.Dir}
}

// cache is a Cache whose directory a test can look into.
type cache struct {
	*fetch.Cache
	dir string
}

func get(t testing.TB, c *cache, url, digest string) *fetch.Tree {
	t.Helper()
	tree, err := c.Get(t.Context(), url, digest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Release)
	return tree
}

func filesIn(t testing.TB, c *cache) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func noFiles(t testing.TB, c *cache, why string) {
	t.Helper()
	if files := filesIn(t, c); len(files) > 0 {
		t.Errorf("left on disk: %q (%s)", files, why)
	}
}

// waitFor polls until a condition holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// pack returns an archive of files, and its digest.
func pack(t testing.TB, files map[string]string) ([]byte, string) {
	t.Helper()
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Limits{})
	for _, name := range slices.SortedFunc(maps.Keys(files), archive.Compare) {
		if err := w.File(name, strings.HasSuffix(name, ".sh"), int64(len(files[name])), strings.NewReader(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), digestOf(out.Bytes())
}

func digestOf(content []byte) string {
	h := artifact.SHA256.New()
	h.Write(content)
	return artifact.SHA256.Digest(h).String()
}

func gz(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
