package git_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

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
	addr := serveHandshakes(t, config)
	client := git.NewClient(git.Limits{})
	lines, err := client.ScanHostKeys(soon(t), "ssh://git@"+addr+"/fleet", creds.Proxy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384}, kindsOf(string(lines))); diff != "" {
		t.Errorf("kinds of keys (-want +got):\n%s", diff)
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("too late"))
	defer cancel()
	if _, err := client.ScanHostKeys(ctx, "ssh://git@"+ln.Addr().String()+"/fleet", creds.Proxy{}); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("of a host that says nothing: %v, want the end of the context", err)
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

// serveHandshakes begins SSH connections, and does nothing else.
func serveHandshakes(t testing.TB, config *ssh.ServerConfig) (addr string) {
	t.Helper()
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
			go func() {
				defer conn.Close()
				_, _, _, _ = ssh.NewServerConn(conn, config) // the client ends it
			}()
		}
	}()
	return ln.Addr().String()
}
