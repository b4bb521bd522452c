package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// Limits bound what is read from a remote. The zero value is generous.
type Limits struct {
	Refs int64 // bytes of the advertisement of refs; 0 means 64 MiB
	Pack int64 // bytes of one pack, as it is sent; 0 means 4 GiB
	// Object is the bytes of one object. It takes memory, and a pack may hold it in a
	// thousandth of that. 0 means 256 MiB.
	Object int64
}

func (l Limits) refs() int64 {
	if l.Refs > 0 {
		return l.Refs
	}
	return 64 << 20
}

func (l Limits) pack() int64 {
	if l.Pack > 0 {
		return l.Pack
	}
	return 4 << 30
}

func (l Limits) object() int64 {
	if l.Object > 0 {
		return l.Object
	}
	return 256 << 20
}

// Client talks to remotes. One for a process lets connections be reused.
type Client struct {
	limits     Limits
	algorithms Algorithms
	transports transports
	handshake  time.Duration // in which a host has to show a key; 0 means handshakePatience
}

// NewClient returns a Client.
func NewClient(limits Limits) *Client { return &Client{limits: limits} }

// Use makes SSH remotes be asked by these algorithms only, from now on. It is for the
// start: nothing may be asked meanwhile.
func (c *Client) Use(a Algorithms) { c.algorithms = a }

// Conn is an exchange with a remote: the refs, and at most one pack.
type Conn struct {
	// Refs is what the remote advertised at the start.
	Refs Refs

	exchange
	remote *Remote
	limits Limits
	again  func(ctx context.Context) (*Conn, error) // another exchange with the same remote
	spent  bool                                     // the only request was made
}

// Close ends the exchange.
func (c *Conn) Close() error { return c.close() }

// exchange is an open exchange with a service of a remote, whose advertisement was read.
type exchange struct {
	request func(ctx context.Context, body []byte) (io.ReadCloser, error)
	close   func() error
	explain func(err error) error // why an answer is none, if the remote says so elsewhere
	once    bool                  // one request ends the exchange
}

// Dial asks a remote for its refs: one request, the answer of which says whether
// there is anything to fetch. The Conn outlives ctx.
func (c *Client) Dial(ctx context.Context, r *Remote) (*Conn, error) {
	conn := &Conn{remote: r, limits: c.limits, again: func(ctx context.Context) (*Conn, error) { return c.Dial(ctx, r) }}
	var err error
	conn.exchange, err = c.open(ctx, r, uploadPack, func(in io.Reader) (err error) {
		conn.Refs, err = r.readRefs(in, c.limits.refs())
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// open begins an exchange with a service of a remote. The advertisement, with which it
// begins, is for read. The exchange outlives ctx.
func (c *Client) open(ctx context.Context, r *Remote, service string, read func(io.Reader) error) (exchange, error) {
	dial := c.dialHTTP
	if r.url.Scheme == schemeSSH {
		dial = c.dialSSH
	}
	x, err := dial(ctx, r, service, read)
	if err == nil {
		return x, nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, ErrUntrusted) {
		return exchange{}, fmt.Errorf("no answer from %s in time: %w", r, cause)
	}
	return exchange{}, err
}

// capabilities are what of the server's abilities we use.
type capabilities struct {
	sideband  capability.Capability // "" if there is none
	ofsDelta  bool
	thin      bool // sends deltas of what we have
	quiet     bool // can leave out what it would show to a person
	shallow   bool
	reachable bool // may ask for a commit that is not the tip of a ref
}

// readRefs decodes an advertisement of refs.
func (r *Remote) readRefs(in io.Reader, limit int64) (Refs, error) {
	limited := &limitReader{r: in, left: limit, what: "advertisement of refs", limit: limit}
	adv := packp.NewAdvRefs()
	err := adv.Decode(limited)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return Refs{}, ErrEmpty
	case errors.Is(err, ErrTooLarge):
		return Refs{}, err
	case err != nil:
		return Refs{}, r.unusable("reading refs: ", err)
	}
	refs := Refs{}
	if refs.hashes, err = r.byName(adv.References); err != nil {
		return Refs{}, err
	}
	if refs.peeled, err = r.byName(adv.Peeled); err != nil {
		return Refs{}, err
	}
	if len(refs.hashes) == 0 {
		return Refs{}, ErrEmpty
	}
	if adv.Head != nil && !adv.Head.IsZero() {
		refs.hashes[plumbing.HEAD] = *adv.Head // which go-git keeps apart
	}
	refs.head = headBranch(adv.Capabilities)
	refs.server = readCapabilities(adv.Capabilities)
	return refs, nil
}

// byName checks that all refs lead somewhere: what is no hash is read as zero.
func (r *Remote) byName(advertised map[string]plumbing.Hash) (map[plumbing.ReferenceName]plumbing.Hash, error) {
	all := make(map[plumbing.ReferenceName]plumbing.Hash, len(advertised))
	for name, hash := range advertised {
		if hash.IsZero() {
			return nil, fmt.Errorf("%w: reading refs: %q has no hash", ErrProtocol, r.clean(name))
		}
		all[plumbing.ReferenceName(name)] = hash
	}
	return all, nil
}

func readCapabilities(list *capability.List) capabilities {
	c := capabilities{
		ofsDelta:  list.Supports(capability.OFSDelta),
		thin:      list.Supports(capability.ThinPack),
		quiet:     list.Supports(capability.NoProgress),
		shallow:   list.Supports(capability.Shallow),
		reachable: list.Supports(capability.AllowReachableSHA1InWant) || list.Supports("allow-any-sha1-in-want"),
	}
	for _, band := range []capability.Capability{capability.Sideband64k, capability.Sideband} {
		if list.Supports(band) {
			c.sideband = band
			break
		}
	}
	return c
}

// limitReader fails, rather than ends, when more than its limit is read.
type limitReader struct {
	r     io.Reader
	left  int64
	limit int64
	what  string
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var more [1]byte
		if n, err := l.r.Read(more[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("%s of the remote: %w: more than %d bytes", l.what, ErrTooLarge, l.limit)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}

// encode writes a whole fetch request: everything is known beforehand, so there
// is one round trip.
func encode(req *packp.UploadPackRequest) ([]byte, error) {
	var buf bytes.Buffer
	if err := req.UploadRequest.Encode(&buf); err != nil {
		return nil, fmt.Errorf("encoding request: %w", err)
	}
	if err := req.UploadHaves.Encode(&buf, false); err != nil {
		return nil, fmt.Errorf("encoding request: %w", err)
	}
	buf.WriteString("0009done\n")
	return buf.Bytes(), nil
}

// readCloser reads from one and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

func buffered(rc io.ReadCloser) io.ReadCloser {
	return readCloser{Reader: bufio.NewReaderSize(rc, 64<<10), Closer: rc}
}
