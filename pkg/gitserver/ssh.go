package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os/exec"
	"strings"
	"sync"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"
)

// SSHOptions say who may do what over SSH.
type SSHOptions struct {
	// HostKey is how the server proves itself; it has to be set.
	HostKey ssh.Signer
	// AuthorizedKeys are who may log in, under any user name. There is no other way
	// in, so nobody can if there are none.
	AuthorizedKeys []ssh.PublicKey
	// Backend is what speaks the protocol.
	Backend Backend
	// Push lets clients write.
	Push bool
	// Config is git configuration for GitCommand, as in Options.
	Config map[string]string
	// Counter, if not nil, counts sessions as requests for a pack or of a push.
	Counter *Counter
	// ErrorLog gets what clients are not told; nil discards it.
	ErrorLog *log.Logger
}

// Validate reports options that cannot work.
func (o SSHOptions) Validate() error {
	if o.HostKey == nil {
		return errors.New("there is no host key")
	}
	return checkConfig(o.Config)
}

// ServeSSH serves the repositories of dir on ln until ctx ends: clone URLs are
// ssh://git@host:port/<name>. It returns when ln is closed and every session has ended;
// that ctx ended is no error.
func ServeSSH(ctx context.Context, ln net.Listener, dir string, opts SSHOptions) error {
	defer ln.Close()
	if err := opts.Validate(); err != nil {
		return fmt.Errorf("serving git over SSH: %w", err)
	}
	repos, err := openDirectory(dir)
	if err != nil {
		return err
	}
	speaker, err := newSpeaker(opts.Backend, gitItself, settings{config: opts.Config, log: orDiscard(opts.ErrorLog)})
	if err != nil {
		return fmt.Errorf("serving git over SSH: %w", err)
	}
	s := &sshServer{repos: repos, speaker: speaker, opts: opts, log: orDiscard(opts.ErrorLog)}
	server := s.library(ctx)
	stop := context.AfterFunc(ctx, func() {
		ln.Close() // Serve may not have heard of it yet
		_ = server.Close()
	})
	defer stop()
	err = server.Serve(ln)
	_ = server.Close() // which fails only because ln is closed
	s.sessions.finish()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serving git over SSH: %w", err)
}

// sshServer runs the sessions of one ServeSSH.
type sshServer struct {
	repos    directory
	speaker  speaker
	opts     SSHOptions
	log      *log.Logger
	sessions gate
}

// library returns the SSH server with everything off but sessions that run a command.
func (s *sshServer) library(ctx context.Context) *gliderssh.Server {
	return &gliderssh.Server{
		HostSigners: []gliderssh.Signer{s.opts.HostKey},
		Handler:     func(session gliderssh.Session) { s.handle(ctx, session) },
		PublicKeyHandler: func(_ gliderssh.Context, key gliderssh.PublicKey) bool {
			for _, known := range s.opts.AuthorizedKeys {
				if gliderssh.KeysEqual(known, key) {
					return true
				}
			}
			return false
		},
		PtyCallback: func(gliderssh.Context, gliderssh.Pty) bool { return false },
		// A connection that has not logged in is unknown to Close.
		ConnCallback: func(_ gliderssh.Context, conn net.Conn) net.Conn {
			return &boundConn{Conn: conn, release: context.AfterFunc(ctx, func() { conn.Close() })}
		},
		ConnectionFailedCallback: func(_ net.Conn, err error) { s.log.Printf("SSH login: %v", err) },
	}
}

// handle runs one session, until it, its connection or the server ends.
func (s *sshServer) handle(server context.Context, session gliderssh.Session) {
	if !s.sessions.enter() {
		return
	}
	defer s.sessions.leave()
	x, err := s.accept(session.Command())
	if err != nil {
		fmt.Fprintf(session.Stderr(), "ERROR: %v\n", err)
		s.exit(session, 1)
		return
	}
	for _, env := range session.Environ() {
		if version, ok := strings.CutPrefix(env, "GIT_PROTOCOL="); ok {
			x.protocol = protocolVersion(version)
		}
	}
	var out io.Writer = session
	if s.opts.Counter != nil {
		kind := UploadPack
		if x.service == receivePack {
			kind = ReceivePack
		}
		defer s.opts.Counter.begin(kind)()
		out = s.opts.Counter.count(session)
	}
	ctx, cancel := context.WithCancel(session.Context()) // that of the connection
	defer cancel()
	defer context.AfterFunc(server, cancel)()
	err = s.speaker.overStreams(ctx, x, streams{in: session, out: out, err: session.Stderr()})
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		s.exit(session, max(ended.ExitCode(), 1)) // -1 is a signal
	case err != nil:
		s.log.Printf("%s of %q: %v", x.service, x.repo.name, err)
		fmt.Fprintln(session.Stderr(), "ERROR: internal error")
		s.exit(session, 1)
	default:
		s.exit(session, 0)
	}
}

func (s *sshServer) exit(session gliderssh.Session, code int) {
	if err := session.Exit(code); err != nil && !errors.Is(err, io.EOF) {
		s.log.Printf("ending SSH session: %v", err)
	}
}

// accept checks the command of a session. Its errors are told to the client.
func (s *sshServer) accept(args []string) (exchange, error) {
	if len(args) == 3 && args[0] == "git" {
		args = []string{"git-" + args[1], args[2]}
	}
	if len(args) != 2 {
		return exchange{}, errors.New("this is a git server, without a shell")
	}
	asked := service(args[0])
	switch {
	case asked != uploadPack && asked != receivePack:
		return exchange{}, errors.New("this server has git-upload-pack and git-receive-pack only")
	case asked == receivePack && !s.opts.Push:
		return exchange{}, errors.New("this server takes no pushes")
	}
	repo, err := s.repos.find(strings.TrimPrefix(args[1], "/"))
	if err != nil {
		return exchange{}, fmt.Errorf("%w: %q", ErrNotFound, args[1])
	}
	return exchange{service: asked, repo: repo}, nil
}

// boundConn is a connection that is closed when a context ends.
type boundConn struct {
	net.Conn
	release func() bool
}

func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// gate counts who is inside, and lets nobody in once it is being closed.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

func (g *gate) finish() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
