package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/git"
)

// looking bounds how long it may take to find out why the cluster does not get in.
const looking = 30 * time.Second

// HostKeys finds the keys by which a host is known to SSH.
type HostKeys struct {
	// Secret is where the cluster has them.
	Secret client.ObjectKey
	// Trusted are lines of known_hosts that whoever runs this command trusts.
	Trusted []byte
	// Scan asks the host of an ssh URL for its keys.
	Scan func(ctx context.Context, rawURL string) ([]byte, error)
	Tell Teller
}

// Of returns lines of known_hosts by which the host of an ssh URL is known: those that the
// cluster has, if they are of that host; else those that the user trusts. Only a host that
// nobody knows is asked for its keys, and their fingerprints are told: whoever is on the
// way could show others.
func (h HostKeys) Of(ctx context.Context, rawURL string, have []byte) ([]byte, error) {
	if git.KnownHosts(have, rawURL) != nil {
		return have, nil
	}
	if known := git.KnownHosts(h.Trusted, rawURL); known != nil {
		return known, nil
	}
	seen, err := h.Scan(ctx, rawURL)
	if err != nil {
		return nil, Unreachable(err)
	}
	for line := range strings.Lines(string(seen)) {
		_, hosts, key, _, _, err := ssh.ParseKnownHosts([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("reading the host keys: %w", err)
		}
		h.Tell.Warn("host key of %s, which nobody here knew: %s %s; compare it with what the host publishes", strings.Join(hosts, ","), key.Type(), ssh.FingerprintSHA256(key))
	}
	return seen, nil
}

// Untrusted says what to do about a host that proves itself by another key than it is known
// by. Other errors are returned as they are.
func (h HostKeys) Untrusted(err error, rawURL string) error {
	u, bad := url.Parse(rawURL)
	if bad != nil || u.Scheme != "ssh" || !errors.Is(err, git.ErrUntrusted) {
		return err
	}
	host := u.Hostname()
	if port := u.Port(); port != "" && port != "22" {
		host = "[" + host + "]:" + port
	}
	return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err, Next: fmt.Sprintf(
		"if the host has published a new key, forget the old one, and run the same command again: kubectl -n %s patch secret %s --type=json -p='[{\"op\":\"remove\",\"path\":\"/data/%s\"}]' and: ssh-keygen -R '%s'",
		h.Secret.Namespace, h.Secret.Name, keyKnownHosts, host)}
}

func (b *Bootstrap) hostKeys() HostKeys {
	scan := func(ctx context.Context, rawURL string) ([]byte, error) {
		return b.repo.client.ScanHostKeys(ctx, rawURL, b.Git.Proxy)
	}
	return HostKeys{Secret: b.secretKey(), Trusted: b.Trusted, Scan: scan, Tell: b.Tell}
}

// whyNotFollowed says of an error of the source what to do about it, if that is because the
// host has another key than the cluster knows: which is for the command to see to, and no
// edit in Git.
func (b *Bootstrap) whyNotFollowed(ctx context.Context, err error) error {
	if !b.Login.SSH || ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	secret, lost := SecretData(ctx, b.Client, b.secretKey())
	if lost != nil {
		return err
	}
	c, lost := b.gitOf(secret)
	if lost != nil {
		return err
	}
	if _, why := Admits(ctx, b.Options.URL, c); errors.Is(why, git.ErrUntrusted) {
		return b.hostKeys().Untrusted(why, b.Options.URL)
	}
	return err
}
