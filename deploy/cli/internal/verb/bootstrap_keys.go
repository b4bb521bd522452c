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

	"github.com/spf13/pflag"
	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// keyFlags say by which SSH key a cluster gets in to a repository.
type keyFlags struct {
	key            bootstrap.KeyOptions
	privateKeyFile string
	given          func(flag string) bool
}

func (k *keyFlags) bind(fs *pflag.FlagSet) {
	fs.StringVar(&k.key.Algorithm, "ssh-key-algorithm", bootstrap.ECDSA, "Algorithm of a new SSH key: ecdsa, ed25519 or rsa")
	fs.IntVar(&k.key.Bits, "ssh-rsa-bits", 2048, "Bits of a new RSA key")
	fs.StringVar(&k.key.Curve, "ssh-ecdsa-curve", "p384", "Curve of a new ECDSA key: p256, p384 or p521")
	fs.StringVar(&k.privateKeyFile, "private-key-file", "", "File of a private SSH key, for the cluster to use")
	k.given = fs.Changed
}

// login returns how the cluster gets a key: by the file that is named, with its passphrase
// if somebody has said it, or by one of its own.
func (k *keyFlags) login(ctx context.Context, s *session.Session, passphrase creds.Hidden) (bootstrap.Login, error) {
	l := bootstrap.Login{SSH: true}
	if err := k.key.Validate(); err != nil {
		return l, err
	}
	if k.given("ssh-key-algorithm") || k.given("ssh-rsa-bits") || k.given("ssh-ecdsa-curve") {
		l.Key = k.key
	}
	if k.privateKeyFile == "" {
		return l, nil
	}
	var err error
	if l.Identity, err = readFile("--private-key-file", k.privateKeyFile); err != nil {
		return l, err
	}
	l.Passphrase = passphrase
	var encrypted *ssh.PassphraseMissingError
	if _, err := ssh.ParsePrivateKey(l.Identity); errors.As(err, &encrypted) && passphrase.Empty() {
		l.Passphrase, err = s.Secret(ctx, "", passwordVariable, "password of the private key")
		return l, err
	}
	return l, nil
}

// sshKey returns how the cluster gets a key.
func (b *bootstrapper) sshKey(ctx context.Context, passphrase creds.Hidden) (bootstrap.Login, error) {
	return b.login(ctx, b.Session, passphrase)
}

// hostKeys finds the keys of hosts.
func (b *bootstrapper) hostKeys() bootstrap.HostKeys {
	return hostKeys(b.Session, types.NamespacedName{Namespace: b.Namespace(), Name: cmp.Or(b.secret, b.Namespace())})
}

// hostKeys finds the keys of hosts: as the cluster knows them by a Secret, or the user, or as
// a host shows them now.
func hostKeys(s *session.Session, secret types.NamespacedName) bootstrap.HostKeys {
	return bootstrap.HostKeys{
		Secret: secret, Trusted: knownHosts(s), Tell: s,
		Scan: func(ctx context.Context, rawURL string) ([]byte, error) {
			return git.NewClient(git.Limits{}).ScanHostKeys(ctx, rawURL, creds.Proxy{})
		},
	}
}

// knownHosts returns the lines of the known_hosts files of the user, and of the machine.
func knownHosts(s *session.Session) []byte {
	files := filepath.SplitList(s.Getenv("SSH_KNOWN_HOSTS"))
	if len(files) == 0 {
		files = []string{"/etc/ssh/ssh_known_hosts"}
		if home := s.Getenv("HOME"); home != "" {
			files = append([]string{filepath.Join(home, ".ssh", "known_hosts")}, files...)
		}
	}
	var lines []byte
	for _, file := range files {
		data, err := readFile("known hosts", file)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				s.Warn("%v", err)
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
	data, err := readUpTo(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return data, nil
}

// errTooBig says that a file is bigger than what is read of one.
var errTooBig = errors.New("the file is too big")

// readUpTo reads a file of up to limit bytes.
func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %q has more than %d bytes", errTooBig, path, limit)
	}
	return data, err
}
