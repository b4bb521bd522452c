package git

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

// hostKeyFamilies are the host key algorithms by the key that they prove: a host shows one
// key for each.
var hostKeyFamilies = [...][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256},
	{ssh.KeyAlgoECDSA384},
	{ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// errSeen ends a handshake that has shown what it was begun for.
var errSeen = errors.New("the host key has been seen")

// ScanHostKeys asks the host of an ssh URL for its keys, and returns them as lines of
// known_hosts. It logs in nowhere. Whoever is in between can show keys of their own, so
// compare the fingerprints with those that the host publishes, if that may matter.
func (c *Client) ScanHostKeys(ctx context.Context, rawURL string, proxy creds.Proxy) ([]byte, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != schemeSSH {
		return nil, fmt.Errorf("%w: only the host of an ssh URL has host keys", ErrInvalidURL)
	}
	addr := sshAddress(u.Hostname(), u.Port())
	var lines strings.Builder
	for _, family := range hostKeyFamilies {
		wanted := c.algorithms.among(family)
		if len(wanted) == 0 {
			continue
		}
		key, err := c.hostKey(ctx, addr, proxy, wanted)
		if err != nil {
			return nil, err
		}
		if key != nil {
			lines.WriteString(knownhosts.Line([]string{addr}, key) + "\n")
		}
	}
	if lines.Len() == 0 {
		return nil, fmt.Errorf("%s: %w: it shows no host key of a kind that is supported", addr, ErrProtocol)
	}
	return []byte(lines.String()), nil
}

// among returns those of some host key algorithms that may be used.
func (a Algorithms) among(family []string) []string {
	if len(a.HostKeys) == 0 {
		return family
	}
	return slices.DeleteFunc(slices.Clone(family), func(name string) bool { return !slices.Contains(a.HostKeys, name) })
}

// hostKey returns the key that a host proves by one of some algorithms; nil if it has none.
func (c *Client) hostKey(ctx context.Context, addr string, proxy creds.Proxy, algorithms []string) (ssh.PublicKey, error) {
	conn, err := proxy.DialContext(ctx, "tcp", addr)
	switch {
	case creds.RefusedByProxy(err):
		return nil, fmt.Errorf("asking %s for its host keys: the proxy refuses the user name and password", addr)
	case err != nil:
		return nil, fmt.Errorf("asking %s for its host keys: %w", addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: c.algorithms.KeyExchanges},
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	})
	var none *ssh.AlgorithmNegotiationError
	switch {
	case seen != nil:
		return seen, nil
	case context.Cause(ctx) != nil:
		return nil, fmt.Errorf("no answer from %s in time: %w", addr, context.Cause(ctx))
	case errors.As(err, &none):
		return nil, nil
	default:
		return nil, fmt.Errorf("asking %s for its host keys: %w", addr, err)
	}
}

// sshAddress is where a host listens for SSH.
func sshAddress(host, port string) string {
	if port == "" {
		port = defaultSSHPort
	}
	return net.JoinHostPort(host, port)
}
