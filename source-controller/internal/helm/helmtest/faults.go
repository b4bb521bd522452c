package helmtest

import (
	"net/http"
	"strconv"
)

// Status answers with a status.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(code), code) }
}

// Garbage answers with what nobody asked for.
func Garbage(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

// Redirect sends elsewhere.
func Redirect(target string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, target+req.URL.Path, http.StatusFound)
	}
}

// Hang says nothing until the other side has given up.
func Hang() http.HandlerFunc {
	return func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
}

// Cut promises more than it sends.
func Cut(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1000))
		_, _ = w.Write([]byte(body))
	}
}

// Endless sends and sends, until the other side has had enough.
func Endless() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for line := []byte("# more and more and more and more and more and more\n"); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
}
