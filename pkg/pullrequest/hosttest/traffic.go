package hosttest

import (
	"net/http"
	"strconv"
)

// Counts are how many requests came in, refused ones too.
type Counts struct {
	Reads, Creates, Updates, Others int
}

// Sum returns how many requests there were.
func (c Counts) Sum() int { return c.Reads + c.Creates + c.Updates + c.Others }

// Minus returns what came in since before.
func (c Counts) Minus(before Counts) Counts {
	return Counts{
		Reads: c.Reads - before.Reads, Creates: c.Creates - before.Creates,
		Updates: c.Updates - before.Updates, Others: c.Others - before.Others,
	}
}

func (c *Counts) add(req *http.Request) {
	switch req.Method {
	case http.MethodGet:
		c.Reads++
	case http.MethodPost:
		c.Creates++
	case http.MethodPatch, http.MethodPut:
		c.Updates++
	default:
		c.Others++
	}
}

// Counts returns how many requests came in so far.
func (h *Host) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// Fault answers a request in place of the host, or reports that it does not.
type Fault func(w http.ResponseWriter, req *http.Request) bool

// Break sets what goes wrong from now on; nil is nothing. A fault may be called by
// several requests at once, and may use the Host.
func (h *Host) Break(fault Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}

// On breaks requests of a method.
func On(method string, fault Fault) Fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		return req.Method == method && fault(w, req)
	}
}

// Status answers with a status, headers and a body. Headers are name, value, name, …
func Status(code int, body string, headers ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body)) // a client that has gone is its own matter
		return true
	}
}

// Lost lets the host do what is asked, and loses its answer.
func (h *Host) Lost() Fault {
	return func(_ http.ResponseWriter, req *http.Request) bool {
		h.serve(&nobody{}, req)
		panic(http.ErrAbortHandler)
	}
}

// nobody is who an answer that is lost is for.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header {
	if n.header == nil {
		n.header = http.Header{}
	}
	return n.header
}

func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }

func (n *nobody) WriteHeader(int) {}
