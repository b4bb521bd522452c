package git

import (
	"io"
	"net/url"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ReadRefs reads an advertisement of refs.
func ReadRefs(r io.Reader, limit int64) (Refs, error) { return new(Remote).readRefs(r, limit) }

// ParseModules reads a .gitmodules file.
func ParseModules(text []byte) (map[string]string, error) { return parseModules(text) }

// EntriesUpTo is Entries with another limit.
func (s *Snapshot) EntriesUpTo(limit int) ([]Entry, error) {
	l := lister{objects: s.objects, limit: limit}
	err := l.list(s.tree, "", 0)
	return l.entries, err
}

// Open returns how many stores are held in memory.
func (s *Stores) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Discard removes all objects, so that the next fetch begins anew.
func (s *Store) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.RemoveAll(s.dir)
}

// MaxTransports is how many transports a client keeps.
const MaxTransports = maxTransports

// Transports returns how many transports are kept.
func (c *Client) Transports() int {
	c.transports.mu.Lock()
	defer c.transports.mu.Unlock()
	return len(c.transports.all)
}

// ReadReceiving reads an advertisement of git-receive-pack.
func ReadReceiving(r io.Reader, limit int64) (map[plumbing.ReferenceName]plumbing.Hash, error) {
	seen, err := new(Remote).readReceiving(r, limit)
	return seen.refs, err
}

// JudgeVerdict reads the answer to a push to a ref of nobody's remote.
func JudgeVerdict(r io.Reader, banded bool, ref plumbing.ReferenceName) error {
	to := &receiver{remote: &Remote{url: new(url.URL)}}
	v, err := to.readVerdict(&limitReader{r: r, left: 1 << 16, limit: 1 << 16, what: "answer"}, banded)
	if err != nil {
		return err
	}
	return to.judge(v, []RefUpdate{{Name: ref}})
}

// RewriteTree reads a tree and writes it, with a new file unless its name is "".
func RewriteTree(raw []byte, name string) ([]byte, error) {
	t, err := parseTree(raw)
	if err != nil || name == "" {
		return t.encode(), err
	}
	e, err := t.named(name)
	if err != nil || e.mode != "" {
		return raw, err
	}
	e.mode = fileMode
	return t.with(e).encode(), nil
}

// HandshakeWithin bounds how long a host may take to show a key.
func (c *Client) HandshakeWithin(d time.Duration) { c.handshake = d }
