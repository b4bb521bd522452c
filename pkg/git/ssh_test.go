package git_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	gliderssh "github.com/gliderlabs/ssh"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh/knownhosts"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// identity returns what the server of s lets in.
func identity(s *gitservertest.Server) creds.Git {
	return creds.Git{SSH: creds.NewSSH(s.SSH().ClientKey.Signer(), s.SSH().KnownHosts)}
}

func TestSSH(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s := gitservertest.Start(t, opts)
		r := s.Repo("team/it's")
		r.Commit("main", "one", gitserver.File("a", "1"), gitserver.File("b", noise(1, 100_000)))
		f := follow(t, remoteAt(t, s.SSHURL("team/it's"), identity(s)))
		if diff := cmp.Diff("1", content(t, f.fetch(branch("main")))["a"]); diff != "" {
			t.Errorf("first fetch (-want +got):\n%s", diff)
		}
		s.Counter.Reset()
		r.Commit("main", "two", gitserver.File("a", "2"))
		if diff := cmp.Diff("2", content(t, f.fetch(branch("main")))["a"]); diff != "" {
			t.Errorf("second fetch (-want +got):\n%s", diff)
		}
		if got := s.Counter.Counts(); got.Requests() != 1 || got.Bytes > 4000 {
			t.Errorf("%+v for one file, want one session and few bytes", got)
		}
		s.Counter.Reset()
		f.fetch(branch("main"))
		if got := s.Counter.Counts(); got.Requests() != 1 || got.Bytes > 2000 {
			t.Errorf("%+v for nothing new, want the refs alone", got)
		}
	})
}

// TestSSHDamage: a connection gives one pack, so that damage which only shows in what a
// pack leaves out is made good by the next fetch.
func TestSSHDamage(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	r := s.Repo("fleet")
	r.Commit("main", "one", gitserver.File("a", "1"))
	f := follow(t, remoteAt(t, s.SSHURL("fleet"), identity(s)))
	f.fetch(branch("main"))
	r.Commit("main", "two", gitserver.File("a", "2"))
	overwrite(t, f.packs()[0])
	if diff := cmp.Diff(map[string]string{"a": "2"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

func TestSSHLogin(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	url, addr := s.SSHURL("fleet"), s.SSH().Addr
	stranger, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	known := s.SSH().KnownHosts
	hostKey := s.SSH().HostKey.Public()
	hashed := fmt.Sprintf("%s %s", knownhosts.HashHostname(knownhosts.Normalize(addr)), strings.SplitN(string(known), " ", 2)[1])
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why   string
		key   *gitserver.Key
		known []byte
		is    error
		says  string
	}{
		"known":          {key: s.SSH().ClientKey, known: known},
		"hashed":         {why: "ssh-keyscan -H writes such lines", key: s.SSH().ClientKey, known: []byte(hashed)},
		"comments":       {key: s.SSH().ClientKey, known: []byte("# a comment\n\n" + string(known))},
		"one of several": {key: s.SSH().ClientKey, known: append(gitserver.KnownHosts("other.example.com", stranger.Public()), known...)},
		"stranger":       {key: stranger, known: known, is: git.ErrUnauthorized, says: "refuses the SSH identity"},
		"no host":        {why: "nobody is trusted unseen", key: s.SSH().ClientKey, known: []byte("# none\n"), is: git.ErrUntrusted, says: knownhosts.Normalize(addr)},
		"other host":     {key: s.SSH().ClientKey, known: gitserver.KnownHosts("other.example.com", hostKey), is: git.ErrUntrusted, says: knownhosts.Normalize(addr)},
		"other port":     {why: "without a port, a line is for port 22; the message shows how to write it", key: s.SSH().ClientKey, known: gitserver.KnownHosts(host, hostKey), is: git.ErrUntrusted, says: "[127.0.0.1]:"},
		"other key":      {why: "somebody is in between", key: s.SSH().ClientKey, known: gitserver.KnownHosts(addr, stranger.Public()), is: git.ErrUntrusted, says: "not the one"},
		"no known_hosts": {key: s.SSH().ClientKey, known: []byte("known-value"), is: git.ErrUntrusted, says: "not in that file's format"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := follow(t, remoteAt(t, url, creds.Git{SSH: creds.NewSSH(tc.key.Signer(), tc.known)}))
			_, err := f.try(branch("main"))
			if tc.is != nil {
				silent(t, err, tc.is, tc.says)
				return
			}
			if err != nil {
				t.Errorf("%v (%s)", err, tc.why)
			}
		})
	}
}

func TestSSHRefusals(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s := gitservertest.Start(t, opts)
		s.Repo("empty")
		_, err := follow(t, remoteAt(t, s.SSHURL("empty"), identity(s))).dial()
		silent(t, err, git.ErrEmpty)
		_, err = follow(t, remoteAt(t, s.SSHURL("nope"), identity(s))).dial()
		silent(t, err, git.ErrNotFound, "nope")
	})
}

// sshServer is a server whose sessions are the test's.
func sshServer(t *testing.T, path string, session gliderssh.Handler) *follower {
	t.Helper()
	hostKey, clientKey := newKey(t), newKey(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &gliderssh.Server{
		HostSigners:      []gliderssh.Signer{hostKey.Signer()},
		Handler:          session,
		PublicKeyHandler: func(gliderssh.Context, gliderssh.PublicKey) bool { return true },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	addr := ln.Addr().String()
	c := creds.Git{SSH: creds.NewSSH(clientKey.Signer(), gitserver.KnownHosts(addr, hostKey.Public()))}
	return follow(t, remoteAt(t, "ssh://someone@"+addr+path, c))
}

func newKey(t *testing.T) *gitserver.Key {
	t.Helper()
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	someRev    = "1111111111111111111111111111111111111111"
	someRefs   = "0041" + someRev + " refs/heads/main\x00ofs\n" + "0000"
	someNoRefs = "0000"
)

func TestSSHSession(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		out, err string
		is       error
		says     string
	}{
		"refs":           {out: someRefs},
		"greeting":       {why: "some servers greet, beside the refs", err: "Welcome!\n", out: someRefs},
		"greeted, empty": {why: "the greeting is no reason", err: "Welcome!\n", out: someNoRefs, is: git.ErrEmpty},
		"not found":      {err: "ERROR: Repository not found.\nfatal: Could not read from remote repository.\n", is: git.ErrNotFound, says: "Repository not found"},
		"does not exist": {err: "fatal: '/x' does not appear to be a git repository\n", is: git.ErrNotFound},
		"other":          {err: "disk is full\n", is: git.ErrProtocol, says: "disk is full"},
		"long":           {why: "a condition has no room for more", err: strings.Repeat("x", 100_000), is: git.ErrProtocol, says: "xxx"},
		"silence":        {is: git.ErrProtocol, says: "reading refs"},
		"shell":          {out: "This is a shell.\n$ ", is: git.ErrProtocol},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commands := make(chan []string, 1)
			f := sshServer(t, "/team/it's", func(s gliderssh.Session) {
				commands <- append(s.Command(), s.User())
				_, _ = s.Stderr().Write([]byte(tc.err)) // a client that is gone gets nothing
				_, _ = s.Write([]byte(tc.out))
				if err := s.Exit(1); err != nil {
					return
				}
			})
			_, err := f.dial()
			if tc.is == nil && err != nil {
				t.Errorf("%v (%s)", err, tc.why)
			}
			if tc.is != nil {
				silent(t, err, tc.is, tc.says)
				if len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
			if diff := cmp.Diff([]string{"git-upload-pack", "/team/it's", "someone"}, <-commands); diff != "" {
				t.Errorf("command and user (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSSHHome(t *testing.T) {
	t.Parallel()
	commands := make(chan []string, 1)
	f := sshServer(t, "/~me/repo", func(s gliderssh.Session) { commands <- s.Command() })
	if _, err := f.dial(); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"git-upload-pack", "~me/repo"}, <-commands); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

// TestSSHSilence: nothing in the protocol ends what a server does not.
func TestSSHSilence(t *testing.T) {
	t.Parallel()
	over := errors.New("the time is over")
	t.Run("before the login", func(t *testing.T) {
		t.Parallel()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		c := creds.Git{SSH: creds.NewSSH(newKey(t).Signer(), gitserver.KnownHosts(ln.Addr().String(), newKey(t).Public()))}
		f := follow(t, remoteAt(t, "ssh://"+ln.Addr().String()+"/repo", c))
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			if conn, err := ln.Accept(); err == nil {
				t.Cleanup(func() { conn.Close() })
			}
			cancel(over)
		}()
		_, err = f.client.Dial(ctx, f.remote)
		silent(t, err, over, "in time")
	})
	t.Run("before the refs", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		f := sshServer(t, "/team/it's", func(s gliderssh.Session) {
			cancel(over)
			<-s.Context().Done()
		})
		_, err := f.client.Dial(ctx, f.remote)
		silent(t, err, over, "in time")
	})
	t.Run("before the pack", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		f := sshServer(t, "/team/it's", func(s gliderssh.Session) {
			_, _ = s.Write([]byte(someRefs))
			request := make([]byte, 4)
			_, _ = s.Read(request)
			cancel(over)
			<-s.Context().Done()
		})
		conn, target, err := f.resolve(branch("main"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.store().Fetch(ctx, conn, target)
		silent(t, err, over, "in time")
	})
}
