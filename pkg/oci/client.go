package oci

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"weir.dev/pkg/creds"
)

const (
	// sessionIdle is how long a session is kept that nobody uses.
	sessionIdle = 2 * time.Hour
	// sweepEvery is how often, at most, sessions are looked through.
	sweepEvery = 10 * time.Minute
)

// Limits bound what is read from a registry. A zero takes the default.
type Limits struct {
	Manifest int64 // bytes of a manifest, or of a list of referrers; 0 means 4 MiB
	TagPage  int64 // bytes of one page of a list of tags; 0 means 8 MiB
	TagPages int   // pages of a list of tags; 0 means 1,000
	Tags     int   // tags of a repository; 0 means 200,000
}

func (l Limits) withDefaults() Limits {
	if l.Manifest == 0 {
		l.Manifest = 4 << 20
	}
	if l.TagPage == 0 {
		l.TagPage = 8 << 20
	}
	if l.TagPages == 0 {
		l.TagPages = 1000
	}
	if l.Tags == 0 {
		l.Tags = 200_000
	}
	return l
}

// Access is how a registry is reached, and as whom. The zero value is anonymous, trusts
// what the system trusts and uses the proxy of the environment.
type Access struct {
	Login Login
	TLS   creds.TLS
	Proxy creds.Proxy
	// Insecure allows plain HTTP.
	Insecure bool
	// Unverified allows a certificate that nobody vouches for.
	Unverified bool
}

// String hides the credentials.
func (a Access) String() string { return "access to a registry" }

// GoString hides the credentials.
func (a Access) GoString() string { return "oci.Access{…}" }

// wire identifies how bytes travel.
func (a Access) wire() string {
	return fmt.Sprintf("%t %t %s %s", a.Insecure, a.Unverified, a.TLS.Fingerprint(), a.Proxy.Fingerprint())
}

// Client keeps sessions with registries. One for a process lets all who ask for the same
// repository with the same credentials share a login, and connections.
type Client struct {
	limits Limits
	now    func() time.Time

	mu       sync.Mutex
	sessions map[sessionKey]*Session
	wires    map[string]*http.Transport
	swept    time.Time
}

type sessionKey struct {
	repo           Repository
	wire, identity string
}

// NewClient returns a Client.
func NewClient(limits Limits) *Client {
	return &Client{
		limits: limits.withDefaults(), now: time.Now,
		sessions: make(map[sessionKey]*Session), wires: make(map[string]*http.Transport),
	}
}

// Session returns the session with a repository. It asks nothing yet: the first request
// logs in.
func (c *Client) Session(repo Repository, access Access) (*Session, error) {
	key := sessionKey{repo: repo, wire: access.wire(), identity: access.Login.identity()}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.sweep(now)
	s := c.sessions[key]
	if s == nil {
		named, err := repo.name(access.Insecure)
		if err != nil {
			return nil, err
		}
		s = &Session{repo: repo, named: named, access: access, limits: c.limits, now: c.now, wire: c.transport(access), turn: make(chan struct{}, 1)}
		c.sessions[key] = s
	}
	s.used = now
	return s, nil
}

// sweep forgets sessions that were not used for long, and closes connections that none
// of the others uses.
func (c *Client) sweep(now time.Time) {
	if now.Sub(c.swept) < sweepEvery {
		return
	}
	c.swept = now
	live := make(map[string]bool)
	for key, s := range c.sessions {
		if now.Sub(s.used) > sessionIdle {
			delete(c.sessions, key)
			continue
		}
		live[key.wire] = true
	}
	for wire, transport := range c.wires {
		if !live[wire] {
			transport.CloseIdleConnections()
			delete(c.wires, wire)
		}
	}
}

// transport returns what carries the requests of an access.
func (c *Client) transport(access Access) *http.Transport {
	if t := c.wires[access.wire()]; t != nil {
		return t
	}
	t := newTransport(access)
	c.wires[access.wire()] = t
	return t
}
