package verb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// sshKey returns how the cluster gets a key: by the file that is named, with its passphrase
// if somebody has said it, or by one of its own.
func (b *bootstrapper) sshKey(ctx context.Context, passphrase creds.Hidden) (bootstrap.Login, error) {
	l := bootstrap.Login{SSH: true}
	if err := b.key.Validate(); err != nil {
		return l, err
	}
	if b.given("ssh-key-algorithm") || b.given("ssh-rsa-bits") || b.given("ssh-ecdsa-curve") {
		l.Key = b.key
	}
	if b.privateKeyFile == "" {
		return l, nil
	}
	var err error
	if l.Identity, err = readFile("--private-key-file", b.privateKeyFile); err != nil {
		return l, err
	}
	l.Passphrase = passphrase
	var encrypted *ssh.PassphraseMissingError
	if _, err := ssh.ParsePrivateKey(l.Identity); errors.As(err, &encrypted) && passphrase.Empty() {
		l.Passphrase, err = b.Secret(ctx, "", passwordVariable, "password of the private key")
		return l, err
	}
	return l, nil
}

// hostKeys finds the keys of hosts: as the cluster knows them, or the user, or as a host
// shows them now.
func (b *bootstrapper) hostKeys() bootstrap.HostKeys {
	return bootstrap.HostKeys{
		Secret:  types.NamespacedName{Namespace: b.Namespace(), Name: cmp.Or(b.secret, b.Namespace())},
		Trusted: b.knownHosts(), Tell: b.Session,
		Scan: func(ctx context.Context, rawURL string) ([]byte, error) {
			return git.NewClient(git.Limits{}).ScanHostKeys(ctx, rawURL, creds.Proxy{})
		},
	}
}

// knownHosts returns the lines of the known_hosts files of the user, and of the machine.
func (b *bootstrapper) knownHosts() []byte {
	files := filepath.SplitList(b.Getenv("SSH_KNOWN_HOSTS"))
	if len(files) == 0 {
		files = []string{"/etc/ssh/ssh_known_hosts"}
		if home := b.Getenv("HOME"); home != "" {
			files = append([]string{filepath.Join(home, ".ssh", "known_hosts")}, files...)
		}
	}
	var lines []byte
	for _, file := range files {
		data, err := readFile("known hosts", file)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				b.Warn("%v", err)
			}
			continue
		}
		lines = append(append(lines, data...), '\n')
	}
	return lines
}

// authority returns the certificates that are trusted beside those of the system.
func (b *bootstrapper) authority() ([]byte, creds.TLS, error) {
	if b.caFile == "" {
		return nil, creds.TLS{}, nil
	}
	ca, err := readFile("--ca-file", b.caFile)
	if err != nil {
		return nil, creds.TLS{}, err
	}
	tls, err := creds.NewTLS(map[string][]byte{"ca.crt": ca}, "--ca-file")
	return ca, tls, err
}

// readFile reads a small file that a flag names.
func readFile(flag, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(data) > maxSecretFile:
		return nil, fmt.Errorf("%s: %q has more than %d bytes", flag, path, maxSecretFile)
	}
	return data, nil
}
