package charts_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"weir.dev/helm-controller/internal/charts"
	"weir.dev/pkg/artifact/fetch"
)

// simple is a chart of two files.
func simple() map[string]string {
	return map[string]string{
		"demo/Chart.yaml":             "apiVersion: v2\nname: demo\nversion: 1.2.3\nappVersion: \"7.8\"\n",
		"demo/values.yaml":            "replicas: 1\n",
		"demo/templates/config.yaml":  "kind: ConfigMap\n",
		"demo/templates/_helpers.tpl": "{{ define \"x\" }}y{{ end }}",
	}
}

// with returns files with others besides or instead; "-" removes one.
func with(files map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(files)
	for name, content := range more {
		out[name] = content
		if content == "-" {
			delete(out, name)
		}
	}
	return out
}

// pack returns an archive of files.
func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// server serves what was put into it, and counts.
type server struct {
	*httptest.Server
	requests atomic.Int64
	handle   func(http.ResponseWriter, *http.Request)
}

func serve(t testing.TB, handle func(http.ResponseWriter, *http.Request)) *server {
	t.Helper()
	s := &server{handle: handle}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// content answers with an archive.
func content(data []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
}

func newCache(t testing.TB, opts charts.Options) *charts.Cache {
	t.Helper()
	files, err := fetch.New(charts.Limit(fetch.Options{Dir: t.TempDir(), Retries: -1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return charts.New(files, opts)
}

// get gets a chart, which must be there.
func get(t testing.TB, c *charts.Cache, url, digest string) *charts.Chart {
	t.Helper()
	got, err := c.Get(t.Context(), url, digest)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// load gets the chart of files that is served alone.
func load(t testing.TB, opts charts.Options, files map[string]string) (*charts.Chart, error) {
	t.Helper()
	data := pack(t, files)
	return newCache(t, opts).Get(t.Context(), serve(t, content(data)).URL, digestOf(data))
}
