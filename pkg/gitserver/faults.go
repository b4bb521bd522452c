package gitserver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Switch is Middleware whose fault can be changed while the server runs. Requests that
// have begun keep the one they began with. The zero value has none.
type Switch struct {
	fault atomic.Pointer[Middleware]
}

// Set makes the next requests go through fault; nil makes them go straight.
func (s *Switch) Set(fault Middleware) {
	if fault == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fault)
}

// Wrap puts the switch before next. It is Middleware.
func (s *Switch) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault != nil {
			(*fault)(next).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Only lets a fault befall requests of one kind.
func Only(kind Kind, fault Middleware) Middleware {
	return func(next http.Handler) http.Handler {
		broken := fault(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if KindOf(r) == kind {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Times lets a fault befall the first n requests that get here:
// Only(UploadPack, Times(2, Status(503))).
func Times(n int, fault Middleware) Middleware {
	var seen atomic.Int64
	return func(next http.Handler) http.Handler {
		broken := fault(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1) <= int64(n) {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Status answers with a status of HTTP, and nothing of git.
func Status(code int) Middleware {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if code == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			}
			http.Error(w, http.StatusText(code), code)
		})
	}
}

// Redirect sends clients to the same path and query below another URL, as of another
// host: Redirect("https://example.com").
func Redirect(base string) Middleware {
	base = strings.TrimSuffix(base, "/")
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		})
	}
}

// Garbage answers 200 with bytes that are not git's. They are called what the client
// expects, or contentType if that is not "": "text/html" is what a login page is.
func Garbage(contentType string) Middleware {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			typ := contentType
			if typ == "" {
				typ = expectedType(r)
			}
			w.Header().Set("Content-Type", typ)
			_, _ = io.WriteString(w, "<html><body>Please log in.</body></html>\n")
		})
	}
}

// expectedType returns the content type that git has for the answer to a request.
func expectedType(r *http.Request) string {
	switch KindOf(r) {
	case Advertisement:
		return "application/x-" + r.URL.Query().Get("service") + "-advertisement"
	case UploadPack:
		return "application/x-" + string(uploadPack) + "-result"
	case ReceivePack:
		return "application/x-" + string(receivePack) + "-result"
	default:
		return "text/plain"
	}
}

// Hang takes requests and answers nothing, until the client goes away or release is
// closed: then they go on. A nil channel never releases.
func Hang(release <-chan struct{}) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// net/http notices that a client is gone only when its request is read.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			select {
			case <-release:
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// errCut is what a handler gets that writes more than may pass.
var errCut = errors.New("answer is cut off")

// Truncate sends n bytes of each answer with a pack, and then cuts the connection. A
// shorter answer passes whole, and so do other requests.
func Truncate(n int64) Middleware {
	return Only(UploadPack, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			left, cut := n, false
			defer func() { // the handler may abort by itself
				if cut {
					// What is still in a buffer would be lost with the connection.
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			}()
			next.ServeHTTP(answerWriter{ResponseWriter: w, body: writerFunc(func(p []byte) (int, error) {
				if int64(len(p)) <= left {
					left -= int64(len(p))
					return w.Write(p)
				}
				cut = true
				sent, err := w.Write(p[:left])
				left -= int64(sent)
				return sent, errors.Join(err, errCut)
			})}, r)
		})
	})
}

// Lose lets requests through, and cuts the connection when they are done, before a
// byte of the answer: Only(ReceivePack, Lose()) is a push that its client takes for lost.
func Lose() Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(answerWriter{ResponseWriter: w, body: io.Discard}, r)
			panic(http.ErrAbortHandler)
		})
	}
}

// Slow sends answers at so many bytes a second, in ten pieces a second.
func Slow(bytesPerSecond int) Middleware {
	const pieces = 10
	size := max(bytesPerSecond/pieces, 1)
	pause := time.Second * time.Duration(size) / time.Duration(max(bytesPerSecond, 1))
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			flush := http.NewResponseController(w).Flush
			next.ServeHTTP(answerWriter{ResponseWriter: w, body: writerFunc(func(p []byte) (int, error) {
				sent := 0
				for sent < len(p) {
					select {
					case <-tick.C:
					case <-r.Context().Done():
						return sent, r.Context().Err()
					}
					n, err := w.Write(p[sent:min(sent+size, len(p))])
					sent += n
					if err := errors.Join(err, flush()); err != nil {
						return sent, err
					}
				}
				return sent, nil
			})}, r)
		})
	}
}
