package git

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

// handshakePatience bounds how long a host may take to show a key.
const handshakePatience = 20 * time.Second

// scannedAlgorithms are those of the host keys that are asked for, the most wanted first.
var scannedAlgorithms = [...]string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// errSeen ends a handshake that has shown what it was begun for.
var errSeen = errors.New("the host key has been seen")

// ScanHostKeys asks the host of an ssh URL for its keys, and returns them as lines of
// known_hosts. It logs in nowhere. Whoever is in between can show keys of their own, so
// compare the fingerprints with those that the host publishes, if that may matter.
//
// A host shows one key a connection. The first one asks for any, which is all that it
// takes to be known; then for those of other kinds, until there is none: hosts count
// connections that log in nowhere.
func (c *Client) ScanHostKeys(ctx context.Context, rawURL string, proxy creds.Proxy) ([]byte, error) {
	addr, err := sshHost(rawURL)
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	wanted := c.algorithms.among(scannedAlgorithms[:])
	for len(wanted) > 0 {
		key, err := c.hostKey(ctx, addr, proxy, wanted)
		if err != nil && (lines.Len() == 0 || ctx.Err() != nil) {
			return nil, err
		}
		if key == nil {
			break
		}
		lines.WriteString(knownhosts.Line([]string{addr}, key) + "\n")
		wanted = slices.DeleteFunc(wanted, func(algorithm string) bool { return keyType(algorithm) == key.Type() })
	}
	if lines.Len() == 0 {
		return nil, fmt.Errorf("%s: %w: it shows no host key of a kind that is supported", addr, ErrProtocol)
	}
	return []byte(lines.String()), nil
}

// KnownHosts returns what lines of known_hosts say of the host of an ssh URL, as lines that
// are of this host alone; nil if they say nothing. A line that cannot be read says nothing,
// and neither does one of a key that another line revokes.
func KnownHosts(lines []byte, rawURL string) []byte {
	addr, err := sshHost(rawURL)
	if err != nil {
		return nil
	}
	known, err := parseKnownHosts(readable(lines))
	if err != nil {
		return nil
	}
	check := known.HostKeyCallback()
	var of []byte
	for _, key := range known.HostKeys(addr) {
		line := knownhosts.Line([]string{addr}, key.PublicKey)
		if key.Cert {
			line = "@cert-authority " + line
		} else if check(addr, &net.TCPAddr{IP: net.IPv4zero}, key.PublicKey) != nil {
			continue
		}
		of = append(of, line+"\n"...)
	}
	return of
}

// readable leaves out of a known_hosts file what cannot be read, as keys of kinds that are
// not supported.
func readable(lines []byte) []byte {
	var kept []byte
	for line := range strings.Lines(string(lines)) {
		if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(line)); err == nil {
			kept = append(append(kept, strings.TrimRight(line, "\r\n")...), '\n')
		}
	}
	return kept
}

// among returns those of some host key algorithms that may be used.
func (a Algorithms) among(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return len(a.HostKeys) > 0 && !slices.Contains(a.HostKeys, name) })
}

// keyType is the type of the keys that prove themselves by an algorithm.
func keyType(algorithm string) string {
	switch algorithm {
	case ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256:
		return ssh.KeyAlgoRSA
	}
	return algorithm
}

// hostKey returns the key that a host proves by one of some algorithms; nil if it has none.
func (c *Client) hostKey(ctx context.Context, addr string, proxy creds.Proxy, algorithms []string) (ssh.PublicKey, error) {
	patience := handshakePatience
	if c.handshake > 0 {
		patience = c.handshake
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it has shown none within %s", patience))
	defer cancel()
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
		return nil, fmt.Errorf("asking %s for its host keys: %w", addr, context.Cause(ctx))
	case errors.As(err, &none):
		return nil, nil
	default:
		return nil, fmt.Errorf("asking %s for its host keys: %w", addr, err)
	}
}

// sshHost returns where the host of an ssh URL listens.
func sshHost(rawURL string) (addr string, err error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return "", err
	}
	if u.Scheme != schemeSSH {
		return "", fmt.Errorf("%w: only the host of an ssh URL has host keys", ErrInvalidURL)
	}
	return sshAddress(u.Hostname(), u.Port()), nil
}

// sshAddress is where a host listens for SSH.
func sshAddress(host, port string) string {
	if port == "" {
		port = defaultSSHPort
	}
	return net.JoinHostPort(host, port)
}
