package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

const (
	defaultSSHUser = "git"
	defaultSSHPort = "22"
)

// dialSSH logs in, starts the service and reads the refs that it begins with.
func (c *Client) dialSSH(ctx context.Context, r *Remote, service string, read func(io.Reader) error) (exchange, error) {
	client, err := r.login(ctx, c.algorithms)
	if err != nil {
		return exchange{}, err
	}
	s := &sshExchange{remote: r, service: service, client: client}
	// Nothing in the protocol ends a session whose server has gone silent.
	release := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer release()
	if err := s.start(); err != nil {
		return exchange{}, errors.Join(err, s.close())
	}
	if err := read(s.out); err != nil {
		return exchange{}, s.explain(err)
	}
	if !release() {
		return exchange{}, errors.Join(context.Cause(ctx), s.close())
	}
	return exchange{request: s.send, close: s.close, explain: s.explain, once: true}, nil
}

// login opens an SSH connection with a host that is known.
func (r *Remote) login(ctx context.Context, algorithms Algorithms) (*ssh.Client, error) {
	addr := sshAddress(r.url.Hostname(), r.url.Port())
	known, err := parseKnownHosts(r.creds.SSH.KnownHosts)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: algorithms.KeyExchanges},
		User:              r.user(),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(r.creds.SSH.Signer())},
		HostKeyCallback:   known.HostKeyCallback(),
		HostKeyAlgorithms: algorithms.hostKeys(known.HostKeyAlgorithms(addr)),
	}
	conn, err := r.creds.Proxy.DialContext(ctx, "tcp", addr)
	switch {
	case creds.RefusedByProxy(err):
		return nil, r.refusedByProxy()
	case err != nil:
		return nil, fmt.Errorf("asking %s: %w", r, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	sc, chans, reqs, err := ssh.NewClientConn(conn, addr, config)
	if err != nil {
		conn.Close()
		return nil, r.explainLogin(err, addr)
	}
	return ssh.NewClient(sc, chans, reqs), nil
}

// explainLogin tells a key mismatch and a refusal from a broken connection.
func (r *Remote) explainLogin(err error, addr string) error {
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return fmt.Errorf("%s: %w: its host key is not the one that known_hosts has of %q", r, ErrUntrusted, knownhosts.Normalize(addr))
	case knownhosts.IsHostUnknown(err):
		return fmt.Errorf("%s: %w: known_hosts has no key of %q", r, ErrUntrusted, knownhosts.Normalize(addr))
	case strings.Contains(err.Error(), "unable to authenticate"):
		// golang.org/x/crypto/ssh exports no error for a refused key.
		return fmt.Errorf("%s: %w: it refuses the SSH identity", r, ErrUnauthorized)
	case strings.Contains(err.Error(), "no common algorithm"):
		// Nor one for what the flags for algorithms may have left out.
		return fmt.Errorf("%s: %w: %w", r, ErrProtocol, err)
	default:
		return fmt.Errorf("asking %s: %w", r, err)
	}
}

// Algorithms are those that SSH remotes may be asked by, the first the most wanted. The
// zero value is what the library has for secure, and what known_hosts has keys for.
type Algorithms struct {
	KeyExchanges []string
	HostKeys     []string
}

// Validate refuses algorithms that cannot be had.
func (a Algorithms) Validate() error {
	secure, other := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, name := range a.KeyExchanges {
		if !slices.Contains(secure.KeyExchanges, name) && !slices.Contains(other.KeyExchanges, name) {
			return fmt.Errorf("%q is no key exchange algorithm that is supported", name)
		}
	}
	for _, name := range a.HostKeys {
		if !slices.Contains(secure.HostKeys, name) && !slices.Contains(other.HostKeys, name) {
			return fmt.Errorf("%q is no host key algorithm that is supported", name)
		}
	}
	return nil
}

// hostKeys returns those of the wanted algorithms for which there are known keys.
func (a Algorithms) hostKeys(known []string) []string {
	if len(a.HostKeys) == 0 {
		return known
	}
	var both []string
	for _, name := range a.HostKeys {
		if slices.Contains(known, name) {
			both = append(both, name)
		}
	}
	if len(both) == 0 {
		return a.HostKeys // so that the host shows a key, which is then not known
	}
	return both
}

// parseKnownHosts reads lines of a known_hosts file. The library reads files
// only.
func parseKnownHosts(lines []byte) (*knownhosts.HostKeyDB, error) {
	f, err := os.CreateTemp("", "known_hosts")
	if err != nil {
		return nil, fmt.Errorf("writing known_hosts: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it holds what is no secret
	_, err = f.Write(lines)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("writing known_hosts: %w", err)
	}
	db, err := knownhosts.NewDB(f.Name())
	if err != nil {
		return nil, fmt.Errorf("%w: the value of known_hosts is not in that file's format", ErrUntrusted)
	}
	return db, nil
}

// sshExchange is an exchange over SSH.
type sshExchange struct {
	remote  *Remote
	service string
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	stderr  limitedBuffer
}

// start runs the service on the remote.
func (s *sshExchange) start() error {
	session, err := s.client.NewSession()
	if err != nil {
		return fmt.Errorf("asking %s: %w", s.remote, err)
	}
	s.session = session
	session.Stderr = &s.stderr
	if s.in, err = session.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = session.StdoutPipe(); err != nil {
		return err
	}
	path := s.remote.url.Path
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // a home directory, as git has it
	}
	quoted := "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	if err := session.Start(s.service + " " + quoted); err != nil {
		return fmt.Errorf("asking %s: %w", s.remote, err)
	}
	return nil
}

// send sends a request for a pack, or with one, which is the last thing that a push has
// to say. When ctx ends, so does the connection.
func (s *sshExchange) send(ctx context.Context, body []byte) (io.ReadCloser, error) {
	release := context.AfterFunc(ctx, func() { _ = s.client.Close() })
	_, err := s.in.Write(body)
	if err == nil && s.service == receivePack {
		err = s.in.Close()
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("asking %s: %w", s.remote, err)
	}
	return readCloser{Reader: s.out, Closer: closerFunc(func() error {
		release()
		return nil
	})}, nil
}

func (s *sshExchange) close() error {
	err := s.client.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// explain adds to a protocol error what the server said about it, which is the
// cause: that there is no such repository, usually.
func (s *sshExchange) explain(err error) error {
	_ = s.close()        // the other error matters more
	_ = s.session.Wait() // until everything that it said is here
	said := s.remote.clean(s.stderr.String())
	lower := strings.ToLower(said)
	switch {
	case said == "" || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrEmpty):
		return err
	case strings.Contains(lower, "not found") || strings.Contains(lower, "does not appear to be a git repository") || strings.Contains(lower, "does not exist"):
		return fmt.Errorf("%s: %w: the server says %q", s.remote, ErrNotFound, said)
	case s.service == receivePack && readOnly(lower):
		return fmt.Errorf("%s: %w: it does not let this identity push: the server says %q", s.remote, ErrUnauthorized, said)
	default:
		return fmt.Errorf("%s: %w: the server says %q", s.remote, ErrProtocol, said)
	}
}

// readOnly reports whether a server says that a key may fetch and not push. None has a
// form for that which is the protocol's.
func readOnly(lower string) bool {
	return slices.ContainsFunc([]string{"permission", "denied", "forbidden", "unauthorized", "read only", "read-only", "not allowed", "no pushes"}, func(word string) bool {
		return strings.Contains(lower, word)
	})
}

// closerFunc is a function as a closer.
type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// limitedBuffer keeps the beginning of what a server complains.
type limitedBuffer struct{ data []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	const most = 512
	if room := most - len(b.data); room > 0 {
		b.data = append(b.data, p[:min(len(p), room)]...)
	}
	return len(p), nil
}

func (b *limitedBuffer) String() string { return string(b.data) }
