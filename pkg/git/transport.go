package git

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"weir.dev/pkg/creds"
)

// maxTransports is how many transports are kept for reuse. Certificates and proxies
// come and go with their Secrets, so that some are of no use any more.
const maxTransports = 128

// transports are those of the HTTP connections of one client, by what is trusted, what
// is shown and what is in between: nobody comes in by another's connection.
type transports struct {
	mu   sync.Mutex
	all  map[string]*http.Transport
	used []string // keys of all, the one that was used last at the end
}

// of returns the transport for some credentials.
func (t *transports) of(c creds.Git) *http.Transport {
	key := c.TLS.Fingerprint() + c.Proxy.Fingerprint()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = append(slices.DeleteFunc(t.used, func(k string) bool { return k == key }), key)
	if known, ok := t.all[key]; ok {
		return known
	}
	if t.all == nil {
		t.all = make(map[string]*http.Transport)
	}
	t.all[key] = newTransport(c)
	if len(t.used) > maxTransports {
		oldest := t.used[0]
		t.used = t.used[1:]
		t.all[oldest].CloseIdleConnections()
		delete(t.all, oldest)
	}
	return t.all[key]
}

func newTransport(c creds.Git) *http.Transport {
	return &http.Transport{
		Proxy:                 c.Proxy.HTTP,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       c.TLS.Config(),
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}
