package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"weir.dev/deploy/internal/stack"
)

// answerTimeout bounds what the API server takes for a request that is not a watch.
const answerTimeout = time.Minute

// fault is when a proxy kills the process behind it.
type fault struct {
	// at is the number of the request at which that happens, counted from 1; 0 is
	// none.
	at int
	// on selects the first request at which it happens, whatever its number; nil is
	// none.
	on func(request string) bool
	// done says that the API server carries the request out, and only the answer is
	// lost; else the request is lost.
	done bool
}

// proxy stands between one process and the API server, for which it is the cluster
// admin. It counts the requests that reconcile, and can kill the process at one.
type proxy struct {
	fault   fault
	forward http.Handler
	program *stack.Program
	started chan struct{} // closed when program is set
	killed  chan struct{} // closed when program is dead and nothing of it is under way

	under sync.WaitGroup // counted requests that the API server has yet to answer

	mu       sync.Mutex
	closed   bool
	hit      bool
	requests []string
}

// startBehind starts a controller behind a proxy. More may be given as to stack.Start.
func (w *world) startBehind(start func(more ...string) *stack.Program, f fault, more ...string) *proxy {
	w.t.Helper()
	p := &proxy{fault: f, started: make(chan struct{}), killed: make(chan struct{})}
	upstream, err := url.Parse(w.stack.Config.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	transport, err := rest.TransportFor(w.stack.Config)
	if err != nil {
		w.t.Fatal(err)
	}
	p.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:     transport,
		FlushInterval: -1, // a watch is told everything at once
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	server := httptest.NewServer(p)
	w.t.Cleanup(server.Close)
	path := filepath.Join(w.stack.Dir(), fmt.Sprintf("proxy-%d.kubeconfig", len(w.proxies)))
	if err := os.WriteFile(path, []byte(kubeconfig(server.URL)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p.program = start(append(more, "KUBECONFIG="+path)...)
	close(p.started)
	w.proxies = append(w.proxies, p)
	w.t.Cleanup(p.kill) // or its watches would keep the server
	return p
}

func kubeconfig(server string) string {
	return strings.ReplaceAll(`apiVersion: v1
kind: Config
current-context: proxy
clusters: [{name: proxy, cluster: {server: "SERVER"}}]
users: [{name: proxy, user: {}}]
contexts: [{name: proxy, context: {cluster: proxy, user: proxy}}]
`, "SERVER", server)
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !reconciles(r) {
		p.forward.ServeHTTP(rw, r)
		return
	}
	// What the API server has begun, it finishes, whether the process lives or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	admitted, hit := p.admit(r)
	switch {
	case hit:
		if p.fault.done {
			p.forward.ServeHTTP(httptest.NewRecorder(), r)
		}
		p.kill()
		panic(http.ErrAbortHandler)
	case !admitted:
		panic(http.ErrAbortHandler)
	}
	defer p.under.Done()
	p.forward.ServeHTTP(rw, r)
}

// admit counts a request and decides whether it goes on, and whether it is the one
// at which the process is killed.
func (p *proxy) admit(r *http.Request) (admitted, hit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, false
	}
	request := describe(r)
	p.requests = append(p.requests, request)
	if p.fault.at == len(p.requests) || p.fault.on != nil && p.fault.on(request) {
		p.closed, p.hit = true, true
		return false, true
	}
	p.under.Add(1)
	return true, false
}

// kill ends the process without warning, and returns when nothing that it asked for
// is under way.
func (p *proxy) kill() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	<-p.started
	_ = p.program.Kill() // that it is over already is as good
	p.under.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.killed:
	default:
		close(p.killed)
	}
}

// wasHit reports whether the request came at which the process is killed.
func (p *proxy) wasHit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

// count returns how many requests came so far.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// last returns the last request; "" if there was none.
func (p *proxy) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests) == 0 {
		return ""
	}
	return p.requests[len(p.requests)-1]
}

// String tells what the process asked for.
func (p *proxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "process %d asked for", p.program.PID())
	for i, r := range p.requests {
		fmt.Fprintf(&b, "\n  %d. %s", i+1, r)
	}
	switch {
	case p.hit && p.fault.done:
		b.WriteString(", at which it was killed before the answer")
	case p.hit:
		b.WriteString(", at which it was killed; the API server never saw that")
	case p.closed:
		b.WriteString(", and was killed")
	}
	return b.String()
}

// describe returns a request in the form of an access log.
func describe(r *http.Request) string {
	s := r.Method + " " + r.URL.Path
	if r.URL.Query().Get("dryRun") != "" {
		s += " (dry run)"
	}
	return s
}

// reconciles reports whether a request is part of the work: it is about one object,
// which is neither a lease nor an event.
func reconciles(r *http.Request) bool {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return false // discovery
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if parts[0] == "leases" || parts[0] == "events" {
		return false
	}
	return len(parts) > 1 || r.Method != http.MethodGet
}
