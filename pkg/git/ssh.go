package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

const (
	defaultSSHUser = "git"
	defaultSSHPort = "22"
	sshDialTimeout = 30 * time.Second
)

// dialSSH logs in, starts git-upload-pack and reads the refs that it begins with.
func (c *Client) dialSSH(ctx context.Context, r *Remote) (*Conn, error) {
	client, err := r.login(ctx)
	if err != nil {
		return nil, err
	}
	s := &sshExchange{remote: r, client: client}
	// Nothing in the protocol ends a session whose server has gone silent.
	release := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer release()
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	refs, err := readRefs(s.out, c.limits.refs())
	if err != nil {
		return nil, s.explain(err)
	}
	if !release() {
		return nil, errors.Join(context.Cause(ctx), s.close())
	}
	return &Conn{Refs: refs, request: s.fetch, close: s.close, once: true}, nil
}

// login opens an SSH connection with a host that is known.
func (r *Remote) login(ctx context.Context) (*ssh.Client, error) {
	addr := net.JoinHostPort(r.url.Hostname(), defaultSSHPort)
	if port := r.url.Port(); port != "" {
		addr = net.JoinHostPort(r.url.Hostname(), port)
	}
	known, err := parseKnownHosts(r.creds.SSH.KnownHosts)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		User:              r.user(),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(r.creds.SSH.Signer())},
		HostKeyCallback:   known.HostKeyCallback(),
		HostKeyAlgorithms: known.HostKeyAlgorithms(addr),
	}
	conn, err := (&net.Dialer{Timeout: sshDialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
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
	default:
		return fmt.Errorf("asking %s: %w", r, err)
	}
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

// sshExchange is a Conn over SSH.
type sshExchange struct {
	remote  *Remote
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	stderr  limitedBuffer
}

// start runs git-upload-pack on the remote.
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
	if err := session.Start(uploadPack + " " + quoted); err != nil {
		return fmt.Errorf("asking %s: %w", s.remote, err)
	}
	return nil
}

// fetch sends a request for a pack. When ctx ends, so does the connection.
func (s *sshExchange) fetch(ctx context.Context, body []byte) (io.ReadCloser, error) {
	release := context.AfterFunc(ctx, func() { _ = s.client.Close() })
	if _, err := s.in.Write(body); err != nil {
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
	said := strings.TrimSpace(s.stderr.String())
	lower := strings.ToLower(said)
	switch {
	case said == "" || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrEmpty):
		return err
	case strings.Contains(lower, "not found") || strings.Contains(lower, "does not appear to be a git repository") || strings.Contains(lower, "does not exist"):
		return fmt.Errorf("%s: %w: the server says %q", s.remote, ErrNotFound, said)
	default:
		return fmt.Errorf("%s: %w: the server says %q", s.remote, ErrProtocol, said)
	}
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
