package gitserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/gitserver"
)

func TestKey(t *testing.T) {
	t.Parallel() // a passphrase is slow to try, on purpose
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ssh.ParsePrivateKey(key.PEM())
	if err != nil || !bytes.Equal(plain.PublicKey().Marshal(), key.Public().Marshal()) {
		t.Errorf("the PEM is of another key, or none: %v", err)
	}
	encrypted, err := key.EncryptedPEM("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	var missing *ssh.PassphraseMissingError
	if _, err := ssh.ParsePrivateKey(encrypted); !errors.As(err, &missing) {
		t.Errorf("the encrypted PEM opens without its passphrase: %v", err)
	}
	opened, err := ssh.ParsePrivateKeyWithPassphrase(encrypted, []byte("open sesame"))
	if err != nil || !bytes.Equal(opened.PublicKey().Marshal(), key.Public().Marshal()) {
		t.Errorf("the encrypted PEM is of another key, or none: %v", err)
	}
	if !bytes.HasPrefix(encrypted, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n")) {
		t.Errorf("the encrypted PEM is\n%s", encrypted)
	}
	for _, printed := range []string{fmt.Sprint(key), fmt.Sprintf("%#v", key), fmt.Sprintf("%+v", key)} {
		if !strings.HasPrefix(printed, "SSH key SHA256:") || len(printed) > 100 {
			t.Errorf("a key prints as %q", printed)
		}
	}
}

func TestKnownHosts(t *testing.T) {
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"127.0.0.1:2222": "[127.0.0.1]:2222 ssh-ed25519 ", "git.example.com:22": "git.example.com ssh-ed25519 "} {
		if got := string(gitserver.KnownHosts(addr, key.Public())); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n") {
			t.Errorf("KnownHosts(%q) = %q, want %q…", addr, got, want)
		}
	}
}

// dial opens a connection and says nothing.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Read(make([]byte, 4)); err != nil { // the server's greeting
		t.Fatal(err)
	}
	return conn
}

// begin starts a session and leaves it when the refs have come.
func begin(t *testing.T, addr string, key *gitserver.Key) {
	t.Helper()
	client, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer())}, HostKeyCallback: ssh.FixedHostKey(key.Public()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := session.Start("git-upload-pack /fleet"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
}
