package sourcetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"weir.dev/source-controller/internal/source"
)

// Download returns the bytes of the artifact, which must be those of its digest.
func (w *World) Download(obj source.Object) []byte {
	w.T.Helper()
	a := obj.GetArtifact()
	if a == nil {
		w.T.Fatalf("%s advertises no artifact", obj.GetName())
	}
	res, err := w.Fetch(a.URL)
	if err != nil {
		w.T.Fatalf("downloading the artifact of %s: %v", obj.GetName(), err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.T.Fatalf("downloading the artifact of %s: status %s, %v", obj.GetName(), res.Status, err)
	}
	if got := Digest(data); got != a.Digest {
		w.T.Errorf("the bytes that are served at %s have the digest %s; want %s", a.URL, got, a.Digest)
	}
	if a.Size == nil || *a.Size != int64(len(data)) {
		w.T.Errorf("the size of the artifact is %v; want %d", a.Size, len(data))
	}
	return data
}

// Fetch gets a URL; the caller closes the body.
func (w *World) Fetch(url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// Digest is the digest of an artifact of these bytes.
func Digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// Content returns the content of the files in the artifact, which is an archive.
func (w *World) Content(obj source.Object) map[string]string {
	w.T.Helper()
	out := make(map[string]string)
	for path, e := range w.Unpack(w.Download(obj)) {
		if e.Mode.IsRegular() {
			out[path] = e.Content
		}
	}
	return out
}

// Entry is a file or folder of an archive.
type Entry struct {
	Mode    os.FileMode
	Content string
}

// Unpack reads an archive with nothing but the standard library.
func (w *World) Unpack(data []byte) map[string]Entry {
	w.T.Helper()
	out := make(map[string]Entry)
	files := tar.NewReader(bytes.NewReader(w.Gunzip(data)))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			w.T.Fatalf("reading an archive: %v", err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			w.T.Fatalf("reading %q of an archive: %v", h.Name, err)
		}
		out[h.Name] = Entry{Mode: h.FileInfo().Mode(), Content: string(content)}
	}
}

// Gunzip returns what was compressed.
func (w *World) Gunzip(data []byte) []byte {
	w.T.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		w.T.Fatalf("reading an archive: %v", err)
	}
	plain, err := io.ReadAll(zipped)
	if err != nil {
		w.T.Fatalf("reading an archive: %v", err)
	}
	return plain
}
