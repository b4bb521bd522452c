// Package serve shows a store of artifacts over HTTP: files by their path, with ranges and
// conditional requests, and listings of directories. It changes nothing, asks nobody who they are,
// and leads nowhere outside the store; who may connect is for a network policy to say.
//
// A request for the root is answered as soon as the server runs, so it serves as readiness probe.
package serve

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"weir.dev/pkg/artifact/store"
)

// New returns a handler for the root of a server.
func New(files *store.Store) http.Handler {
	return &handler{store: files, files: files.FS()}
}

type handler struct {
	store *store.Store
	files fs.FS
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this server is read-only", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "."
	}
	f, err := h.files.Open(name)
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Close()
	switch f := f.(type) {
	case *os.File:
		h.file(w, r, name, f)
	case fs.ReadDirFile:
		list(w, r, f)
	}
}

// file answers with an artifact. Nothing is declared immutable: a GitRepository with includes
// stores new content under the same commit, so a cache has to ask again each time.
func (h *handler) file(w http.ResponseWriter, r *http.Request, name string, f *os.File) {
	info, err := f.Stat()
	if err != nil {
		fail(w, err)
		return
	}
	if !info.Mode().IsRegular() {
		fail(w, fs.ErrNotExist)
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType(name))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-cache")
	if digest, ok := h.store.Known(name, info); ok {
		header.Set("ETag", `"`+digest.String()+`"`)
	}
	http.ServeContent(w, r, name, info.ModTime(), f)
}

// list answers with the names in a directory, as links.
func list(w http.ResponseWriter, r *http.Request, dir fs.ReadDirFile) {
	if !strings.HasSuffix(r.URL.Path, "/") {
		// Relative to this directory, whatever prefix it is reached under.
		w.Header().Set("Location", "./"+url.PathEscape(path.Base(r.URL.Path))+"/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	entries, err := dir.ReadDir(-1)
	if err != nil {
		fail(w, err)
		return
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	fmt.Fprint(w, "<!doctype html>\n<pre>\n")
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		link := url.URL{Path: "./" + name} // else a colon would end a scheme
		fmt.Fprintf(w, "<a href=\"%s\">%s</a>\n", html.EscapeString(link.EscapedPath()), html.EscapeString(name))
	}
	fmt.Fprint(w, "</pre>\n")
}

// fail answers without telling where on disk the store is. Not found makes a consumer look for a
// newer artifact, so it is for what is not there; a disk that fails is another matter.
func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.ENOTDIR) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	http.Error(w, "cannot be read", http.StatusInternalServerError)
}

// contentType goes by the name, so that it is the same on every machine. A compressed archive is
// sent as the file that it is, never with a Content-Encoding that clients would undo.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".gz", ".tgz":
		return "application/gzip"
	case ".yaml":
		return "application/yaml"
	default:
		return "application/octet-stream"
	}
}
