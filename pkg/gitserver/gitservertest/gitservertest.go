// Package gitservertest starts git servers for tests, on ports of 127.0.0.1 that the
// system chooses, and stops them when the test ends.
//
//	s := gitservertest.Start(t, gitserver.Options{})
//	rev := s.Repo("fleet").Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
//	clone(s.URL("fleet"))
//	s.Faults.Set(gitserver.Status(503))
//
// What goes wrong here ends the test, so it is used in the goroutine of the test.
package gitservertest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir.dev/pkg/gitserver"
)

// Server is a git server over HTTP and, once somebody asks for it, SSH.
type Server struct {
	// Dir is where the repositories are.
	Dir string
	// Counter counts what comes in, over SSH too.
	Counter *gitserver.Counter
	// Faults breaks requests over HTTP. It comes before authentication, and after
	// Counter.
	Faults *gitserver.Switch
	// CA is the PEM of who signed the server's certificate, with StartTLS.
	CA []byte

	t    testing.TB
	opts gitserver.Options
	http *httptest.Server
	ssh  *SSH
}

// SSH is the SSH side of a server.
type SSH struct {
	Addr       string // host:port
	HostKey    *gitserver.Key
	ClientKey  *gitserver.Key // whom the server lets in
	KnownHosts []byte
}

// Start starts a server over http in a directory of its own.
func Start(t testing.TB, opts gitserver.Options) *Server {
	t.Helper()
	s := prepare(t, opts)
	s.http.Start()
	return s
}

// StartTLS starts a server over https in a directory of its own.
func StartTLS(t testing.TB, opts gitserver.Options) *Server {
	t.Helper()
	cert, err := gitserver.NewCertificate("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, opts)
	s.CA = cert.CA
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS}, MinVersion: tls.VersionTLS12}
	s.http.StartTLS()
	return s
}

func prepare(t testing.TB, opts gitserver.Options) *Server {
	t.Helper()
	opts.Config = maps.Clone(opts.Config)
	if opts.Config == nil {
		opts.Config = make(map[string]string)
	}
	opts.Config["core.fsync"] = "none" // nothing here outlives the test
	s := &Server{t: t, Dir: t.TempDir(), Counter: new(gitserver.Counter), Faults: new(gitserver.Switch), opts: opts}
	opts.Middleware = append([]gitserver.Middleware{s.Counter.Wrap, s.Faults.Wrap}, opts.Middleware...)
	handler, err := gitserver.NewHandler(s.Dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewUnstartedServer(handler)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that distrust us are no news
	t.Cleanup(func() {
		s.http.CloseClientConnections() // or Close waits for requests that hang
		s.http.Close()
	})
	return s
}

// URL returns the URL of a repository, whether or not it exists.
func (s *Server) URL(name string) string { return s.http.URL + "/" + name }

// SSHURL returns the URL of a repository over SSH, whether or not it exists.
func (s *Server) SSHURL(name string) string { return "ssh://git@" + s.SSH().Addr + "/" + name }

// SSH returns the SSH side, which the first call starts.
func (s *Server) SSH() *SSH {
	s.t.Helper()
	if s.ssh != nil {
		return s.ssh
	}
	hostKey, clientKey := s.key(), s.key()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	opts := gitserver.SSHOptions{
		HostKey: hostKey.Signer(), Backend: s.opts.Backend, Push: s.opts.Push, Config: s.opts.Config,
		Counter: s.Counter, ErrorLog: s.opts.ErrorLog,
	}
	opts.AuthorizedKeys = append(opts.AuthorizedKeys, clientKey.Public())
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- gitserver.ServeSSH(ctx, ln, s.Dir, opts) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("SSH server: %v", err)
		}
	})
	addr := ln.Addr().String()
	s.ssh = &SSH{Addr: addr, HostKey: hostKey, ClientKey: clientKey, KnownHosts: gitserver.KnownHosts(addr, hostKey.Public())}
	return s.ssh
}

func (s *Server) key() *gitserver.Key {
	s.t.Helper()
	key, err := gitserver.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// Repo returns the repository of that name, which the first call makes.
func (s *Server) Repo(name string) *Repo {
	s.t.Helper()
	repo, err := gitserver.Init(s.Dir, name)
	if errors.Is(err, fs.ErrExist) {
		repo, err = gitserver.Open(s.Dir, name)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &Repo{Repo: repo, t: s.t}
}

// environ returns what makes git trust this server, and be known to it.
func (s *Server) environ() []string {
	s.t.Helper()
	var env []string
	if s.CA != nil {
		env = append(env, "GIT_SSL_CAINFO="+s.write("ca.pem", s.CA))
	}
	if s.ssh != nil {
		env = append(env, "GIT_SSH_COMMAND="+strings.Join([]string{
			"ssh", "-F", os.DevNull, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
			"-o", "UserKnownHostsFile=" + s.write("known_hosts", s.ssh.KnownHosts),
			"-i", s.write("identity", s.ssh.ClientKey.PEM()),
		}, " "))
	}
	return env
}

// write writes a file that ssh takes for secret enough.
func (s *Server) write(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Git runs the git command in dir and returns what it prints. It trusts this server and
// ignores the configuration of the user. The test fails if git does, and is skipped
// where there is no git.
func (s *Server) Git(dir string, args ...string) string {
	s.t.Helper()
	out, err := s.TryGit(dir, args...)
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryGit is Git for what may fail. It returns the standard output and error of git,
// one after the other.
func (s *Server) TryGit(dir string, args ...string) (string, error) {
	s.t.Helper()
	return runGit(s.t, dir, s.environ(), slices.Clone(args))
}
