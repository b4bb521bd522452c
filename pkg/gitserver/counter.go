package gitserver

import (
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Kind is what a request is for.
type Kind int

const (
	// Other is none of the smart-HTTP protocol.
	Other Kind = iota
	// Advertisement asks for the refs, before fetching or before pushing.
	Advertisement
	// UploadPack asks for a pack; in version 2 of the protocol, also for the refs.
	UploadPack
	// ReceivePack pushes.
	ReceivePack
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Other:
		return "Other"
	case Advertisement:
		return "Advertisement"
	case UploadPack:
		return "UploadPack"
	case ReceivePack:
		return "ReceivePack"
	default:
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
}

// KindOf returns what a request to the handler of NewHandler is for.
func KindOf(r *http.Request) Kind {
	switch _, what := splitPath(r.URL.Path); what {
	case infoRefs:
		return Advertisement
	case "/" + string(uploadPack):
		return UploadPack
	case "/" + string(receivePack):
		return ReceivePack
	default:
		return Other
	}
}

// Counts is what a Counter has seen.
type Counts struct {
	Advertisements int
	UploadPacks    int
	ReceivePacks   int
	Others         int
	Bytes          int64 // of answers, without headers
	Pushed         int64 // bytes of pushes over HTTP, without headers
	Open           int   // requests that are not answered yet
}

// Requests returns how many there were.
func (c Counts) Requests() int {
	return c.Advertisements + c.UploadPacks + c.ReceivePacks + c.Others
}

// Counter counts requests as they come in, and the bytes of answers as they go out. It
// may be read at any time. The zero value is ready.
type Counter struct {
	mu     sync.Mutex
	counts Counts
}

// Counts returns what came since the last Reset.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Reset forgets everything but which requests are open.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Counts{Open: c.counts.Open}
}

// Wrap counts what goes to next. It is Middleware.
func (c *Counter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := KindOf(r)
		defer c.begin(kind)()
		if kind == ReceivePack {
			r.Body = &countedBody{ReadCloser: r.Body, add: c.pushed}
		}
		next.ServeHTTP(answerWriter{ResponseWriter: w, body: c.count(w)}, r)
	})
}

// begin counts a request. It is open until end is called.
func (c *Counter) begin(kind Kind) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case Advertisement:
		c.counts.Advertisements++
	case UploadPack:
		c.counts.UploadPacks++
	case ReceivePack:
		c.counts.ReceivePacks++
	case Other:
		c.counts.Others++
	}
	c.counts.Open++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counts.Open--
	}
}

// count counts what goes to w.
func (c *Counter) count(w io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counts.Bytes += int64(n)
		return n, err
	})
}

// pushed counts what is read of a push.
func (c *Counter) pushed(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Pushed += int64(n)
}

// countedBody tells how much of a body is read.
type countedBody struct {
	io.ReadCloser
	add func(n int)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.add(n)
	return n, err
}

// writerFunc is a function as a writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// answerWriter writes the body of an answer elsewhere.
type answerWriter struct {
	http.ResponseWriter
	body io.Writer
}

func (w answerWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

// Unwrap lets http.ResponseController find Flush.
func (w answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
