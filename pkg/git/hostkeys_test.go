package git_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

func TestScanHostKeys(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	lines, err := git.NewClient(git.Limits{}).ScanHostKeys(soon(t), s.SSHURL("fleet"), creds.Proxy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(s.SSH().KnownHosts), string(lines)); diff != "" {
		t.Errorf("known_hosts (-want +got):\n%s", diff)
	}
	f := follow(t, remoteAt(t, s.SSHURL("fleet"), creds.Git{SSH: creds.NewSSH(s.SSH().ClientKey.Signer(), lines)}))
	if got := content(t, f.fetch(branch("main")))["a"]; got != "1" {
		t.Errorf("with the scanned keys, the file is %q", got)
	}
}

// TestScanAllHostKeys: whichever key a client prefers later is known.
func TestScanAllHostKeys(t *testing.T) {
	t.Parallel()
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newHostKey(t, elliptic.P256()))
	config.AddHostKey(newHostKey(t, elliptic.P384()))
	addr, connections := serveHandshakes(t, config)
	client := git.NewClient(git.Limits{})
	lines, err := client.ScanHostKeys(soon(t), "ssh://git@"+addr+"/fleet", creds.Proxy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384}, kindsOf(string(lines))); diff != "" {
		t.Errorf("kinds of keys (-want +got):\n%s", diff)
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("the host was asked %d times for two keys: one for each, and one that finds no more, are enough", n)
	}
	client.Use(git.Algorithms{HostKeys: []string{ssh.KeyAlgoECDSA384}})
	if lines, err = client.ScanHostKeys(soon(t), "ssh://git@"+addr+"/fleet", creds.Proxy{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ssh.KeyAlgoECDSA384}, kindsOf(string(lines))); diff != "" {
		t.Errorf("kinds of keys, of one algorithm (-want +got):\n%s", diff)
	}
	client.Use(git.Algorithms{HostKeys: []string{ssh.KeyAlgoED25519}})
	if lines, err = client.ScanHostKeys(soon(t), "ssh://git@"+addr+"/fleet", creds.Proxy{}); !errors.Is(err, git.ErrProtocol) {
		t.Errorf("of an algorithm that the host has not: %q, %v; want ErrProtocol", lines, err)
	}
}

func TestScanHostKeysFails(t *testing.T) {
	t.Parallel()
	client := git.NewClient(git.Limits{})
	if _, err := client.ScanHostKeys(t.Context(), "https://example.com/fleet", creds.Proxy{}); !errors.Is(err, git.ErrInvalidURL) {
		t.Errorf("of an https URL: %v, want ErrInvalidURL", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("too late"))
	defer cancel()
	if _, err := client.ScanHostKeys(ctx, "ssh://git@"+silent.Addr().String()+"/fleet", creds.Proxy{}); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("of a host that says nothing: %v, want the end of the context", err)
	}
	// Who has all the time does not wait for such a host for ever.
	client.HandshakeWithin(50 * time.Millisecond)
	if _, err := client.ScanHostKeys(soon(t), "ssh://git@"+silent.Addr().String()+"/fleet", creds.Proxy{}); err == nil || !strings.Contains(err.Error(), "none within 50ms") {
		t.Errorf("of a host that says nothing: %v, want the end of our patience", err)
	}
}

// TestScanHostKeysOfAShyHost: one key is enough to be known by, where the host does not let
// itself be asked again.
func TestScanHostKeysOfAShyHost(t *testing.T) {
	t.Parallel()
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newHostKey(t, elliptic.P256()))
	config.AddHostKey(newHostKey(t, elliptic.P384()))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := ln.Accept()
		ln.Close() // and nobody listens any more
		if err == nil {
			_, _, _, _ = ssh.NewServerConn(conn, config) // the client ends it
			conn.Close()
		}
	}()
	lines, err := git.NewClient(git.Limits{}).ScanHostKeys(soon(t), "ssh://git@"+ln.Addr().String()+"/fleet", creds.Proxy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ssh.KeyAlgoECDSA256}, kindsOf(string(lines))); diff != "" {
		t.Errorf("kinds of keys (-want +got):\n%s", diff)
	}
}

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	one, two := newHostKey(t, elliptic.P256()).PublicKey(), newHostKey(t, elliptic.P384()).PublicKey()
	line := func(host string, key ssh.PublicKey) string {
		return host + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + "\n"
	}
	const host = "git.example.com"
	tests := map[string]struct {
		why, lines, url, want string
	}{
		"the host":              {why: "its keys are known", lines: line(host, one) + line(host, two), url: "ssh://git@git.example.com/fleet", want: line(host, one) + line(host, two)},
		"another host":          {why: "its keys prove nothing", lines: line("old.example.com", one), url: "ssh://git@git.example.com/fleet"},
		"another port":          {why: "another server listens there", lines: line(host, one), url: "ssh://git@git.example.com:2222/fleet"},
		"that port":             {why: "it is known by its port", lines: line("["+host+"]:2222", one), url: "ssh://git@git.example.com:2222/fleet", want: line("["+host+"]:2222", one)},
		"among several hosts":   {why: "a line may be of more than one", lines: line("a.example.com,"+host, one), url: "ssh://git@git.example.com/fleet", want: line(host, one)},
		"hashed":                {why: "ssh hides whom a user knows", lines: line(knownhosts.HashHostname(host), one), url: "ssh://git@git.example.com/fleet", want: line(host, one)},
		"beside what is broken": {why: "ssh goes on, too", lines: "nonsense\n# a comment\n\n" + line("old.example.com,x", one) + host + " sk-new@example.com AAAA\n" + line(host, two), url: "ssh://git@git.example.com/fleet", want: line(host, two)},
		"revoked":               {why: "somebody has it who should not", lines: line(host, one) + line(host, two) + "@revoked " + line("*", one), url: "ssh://git@git.example.com/fleet", want: line(host, two)},
		"an authority":          {why: "whom it has signed for is known", lines: "@cert-authority " + line("*.example.com", one), url: "ssh://git@git.example.com/fleet", want: "@cert-authority " + line(host, one)},
		"no SSH":                {why: "it has certificates", lines: line(host, one), url: "https://git.example.com/fleet"},
		"nothing":               {why: "nothing is known", url: "ssh://git@git.example.com/fleet"},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, string(git.KnownHosts([]byte(tc.lines), tc.url))); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", name, tc.why, diff)
		}
	}
}

// kindsOf returns the kinds of the keys in lines of known_hosts.
func kindsOf(lines string) []string {
	var kinds []string
	for line := range strings.Lines(lines) {
		kinds = append(kinds, strings.Fields(line)[1])
	}
	return kinds
}

func newHostKey(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// serveHandshakes begins SSH connections, which it counts, and does nothing else.
func serveHandshakes(t testing.TB, config *ssh.ServerConfig) (addr string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				_, _, _, _ = ssh.NewServerConn(conn, config) // the client ends it
			}()
		}
	}()
	return ln.Addr().String(), connections
}
