package serve_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
)

const (
	git = "gitrepository/flux-system/fleet/51fd7e680293226aa07c72018335283ad07907ee.tar.gz"
	oci = "ocirepository/flux-system/app/sha256:00ff.tar.gz"
)

func TestServer(t *testing.T) {
	tests := map[string]struct {
		why     string
		method  string // GET if empty
		path    string
		request map[string]string
		status  int
		body    string // exact; not compared if it is "*"
		headers map[string]string
	}{
		"an artifact": {
			why: "what the URL in a status is for", path: "/" + git, status: 200, body: "0123456789",
			headers: map[string]string{"Content-Length": "10", "Content-Type": "application/gzip", "Content-Encoding": "", "Cache-Control": "no-cache", "Etag": etag("0123456789")},
		},
		"HEAD":                    {why: "size without content", method: "HEAD", path: "/" + git, status: 200, headers: map[string]string{"Content-Length": "10"}},
		"a colon in the name":     {why: "artifacts of images have one", path: "/" + oci, status: 200, body: "image"},
		"an escaped colon":        {why: "some clients escape it", path: "/" + strings.Replace(oci, ":", "%3A", 1), status: 200, body: "image"},
		"the latest":              {why: "the status of some kinds links there", path: "/ocirepository/flux-system/app/latest.tar.gz", status: 200, body: "image"},
		"a range":                 {why: "a download goes on after a break", path: "/" + git, request: map[string]string{"Range": "bytes=3-5"}, status: 206, body: "345", headers: map[string]string{"Content-Range": "bytes 3-5/10"}},
		"a range that is outside": {why: "not content", path: "/" + git, request: map[string]string{"Range": "bytes=30-"}, status: 416, body: "*"},
		"a range of an old file":  {why: "parts of two files must not be joined", path: "/" + git, request: map[string]string{"Range": "bytes=3-5", "If-Range": etag("older")}, status: 200, body: "0123456789"},
		"a file one has":          {why: "costs no transfer", path: "/" + git, request: map[string]string{"If-None-Match": etag("0123456789")}, status: 304},
		"a file one had":          {why: "has other content now", path: "/" + git, request: map[string]string{"If-None-Match": etag("older")}, status: 200, body: "0123456789"},
		"the root":                {why: "the readiness probe", path: "/", status: 200, body: "<!doctype html>\n<pre>\n<a href=\"./gitrepository/\">gitrepository/</a>\n<a href=\"./ocirepository/\">ocirepository/</a>\n</pre>\n", headers: map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		"a directory": {
			why: "people look what is there; the colon must not become a scheme", path: "/ocirepository/flux-system/app/", status: 200,
			body: "<!doctype html>\n<pre>\n<a href=\"./latest.tar.gz\">latest.tar.gz</a>\n<a href=\"./sha256:00ff.tar.gz\">sha256:00ff.tar.gz</a>\n</pre>\n",
		},
		"a directory, no slash":     {why: "links are relative to the slash", path: "/gitrepository/flux-system", status: 301, headers: map[string]string{"Location": "./flux-system/"}},
		"nothing there":             {why: "the consumer reads the object again", path: "/gitrepository/flux-system/fleet/0.tar.gz", status: 404, body: "not found\n"},
		"below a file":              {why: "nothing is there", path: "/" + git + "/x", status: 404, body: "not found\n"},
		"a temporary file":          {why: "not complete", path: "/gitrepository/flux-system/fleet/.tmp-x", status: 404, body: "not found\n"},
		"a parent":                  {why: "stays within the root", path: "/../../etc/passwd", status: 404, body: "not found\n"},
		"an escaped parent":         {why: "stays within the root", path: "/%2e%2e/%2e%2e/etc/passwd", status: 404, body: "not found\n"},
		"a link to the outside":     {why: "leads nowhere", path: "/gitrepository/flux-system/fleet/out", status: 404, body: "not found\n"},
		"a directory outside":       {why: "leads nowhere", path: "/gitrepository/flux-system/outdir/secret", status: 404, body: "*"},
		"POST":                      {why: "read-only", method: "POST", path: "/" + git, status: 405, body: "this server is read-only\n", headers: map[string]string{"Allow": "GET, HEAD"}},
		"DELETE":                    {why: "read-only", method: "DELETE", path: "/" + git, status: 405, body: "*"},
		"an absolute path in a URL": {why: "cleaned, it names the same file", path: "//" + git, status: 200, body: "0123456789"},
	}
	server := httptest.NewServer(serve.New(filledStore(t)))
	t.Cleanup(server.Close)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			req, err := http.NewRequestWithContext(t.Context(), method, server.URL+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", "identity")
			for k, v := range tc.request {
				req.Header.Set(k, v)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status {
				t.Errorf("status = %d, want %d (%s)", resp.StatusCode, tc.status, tc.why)
			}
			if tc.body != "*" && string(body) != tc.body {
				t.Errorf("body = %q, want %q (%s)", body, tc.body, tc.why)
			}
			for k, want := range tc.headers {
				if got := resp.Header.Get(k); got != want {
					t.Errorf("%s = %q, want %q (%s)", k, got, want, tc.why)
				}
			}
		})
	}
}

func TestListingEscapesNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, `<b>&"x".tgz`), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := get(t, serve.New(openStore(t, dir)), "/")
	want := "<!doctype html>\n<pre>\n<a href=\"./%3Cb%3E&amp;%22x%22.tgz\">&lt;b&gt;&amp;&#34;x&#34;.tgz</a>\n</pre>\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReplacedArtifactHasAnotherTag(t *testing.T) {
	files := openStore(t, t.TempDir())
	handler := serve.New(files)
	for _, content := range []string{"first", "other"} {
		put(t, files, git, content)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/"+git, nil))
		if got := w.Header().Get("Etag"); got != etag(content) || w.Body.String() != content {
			t.Errorf("tag of %q = %s, want %s", w.Body, got, etag(content))
		}
	}
}

func TestEmptyStoreIsReady(t *testing.T) {
	if got := get(t, serve.New(openStore(t, t.TempDir())), "/"); got != "<!doctype html>\n<pre>\n</pre>\n" {
		t.Errorf("GET / = %q", got)
	}
}

func filledStore(t *testing.T) *store.Store {
	t.Helper()
	dir := t.TempDir()
	files := openStore(t, dir)
	put(t, files, git, "0123456789")
	image := put(t, files, oci, "image")
	if err := files.Link(image, "latest.tar.gz"); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	fleet := filepath.Join(dir, filepath.Dir(git))
	for _, err := range []error{
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(fleet, ".tmp-x"), []byte("half"), 0o600),
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(fleet, "out")),
		os.Symlink(outside, filepath.Join(fleet, "../outdir")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	files, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}

func put(t *testing.T, files *store.Store, name, content string) artifact.Path {
	t.Helper()
	path, err := artifact.ParsePath(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = files.Put(path, func(w io.Writer) error { _, err := io.WriteString(w, content); return err })
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func etag(content string) string {
	h := artifact.SHA256.New()
	io.WriteString(h, content)
	return `"` + artifact.SHA256.Digest(h).String() + `"`
}

func get(t *testing.T, handler http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}
