// Package git reads Git remotes incrementally. It asks a remote for its refs,
// decides which commit a reference means, fetches that commit's snapshot into a
// bare object store on disk, sending what the store has already so that only
// what is new comes back, and walks the commit's tree.
//
// It writes in the same way: a draft is a commit on top of a snapshot, made of
// the files that change and the trees on the way to them, and a push sends that and
// moves refs that are still where they were seen.
//
// It needs no git command and no work tree. It speaks the smart protocol,
// version 0, over http, https and ssh, by the packet format of go-git; history is
// never fetched where the server allows a shallow fetch.
//
// The caller brings deadlines by context, serialises nothing, and removes stores
// that nobody uses.
package git

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"weir.dev/pkg/creds"
)

// Errors that a caller may want to tell apart.
var (
	// ErrInvalidURL: no remote can be meant by the URL.
	ErrInvalidURL = errors.New("invalid URL")
	// ErrUnauthorized: the remote refuses the credentials, or wants some.
	ErrUnauthorized = errors.New("authentication failed")
	// ErrUntrusted: the remote's host key or certificate is not trusted.
	ErrUntrusted = errors.New("remote is not trusted")
	// ErrNotFound: the remote says that there is no such repository.
	ErrNotFound = errors.New("repository not found")
	// ErrEmpty: the repository has no commit.
	ErrEmpty = errors.New("git repository is empty")
	// ErrNoRef: the repository has no such branch, tag, ref or commit.
	ErrNoRef = errors.New("reference not found")
	// ErrInvalidReference: no commit can be meant by the reference.
	ErrInvalidReference = errors.New("invalid reference")
	// ErrProtocol: the remote answers with something that is not Git's protocol.
	ErrProtocol = errors.New("unexpected answer of the remote")
	// ErrDamaged: objects of the store on disk are missing or unreadable. The next
	// fetch begins the store anew.
	ErrDamaged = errors.New("object store is damaged")
	// ErrTooLarge: the remote sends more than the limit.
	ErrTooLarge = errors.New("too large")
)

// Remote is one repository somewhere, and how to get in.
type Remote struct {
	url   *url.URL
	creds creds.Git
}

// NewRemote returns the remote that rawURL names. The errors name no userinfo.
func NewRemote(rawURL string, c creds.Git) (*Remote, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == schemeSSH {
		if c.SSH == nil {
			return nil, fmt.Errorf("%w: an ssh URL needs a secret with the keys identity and known_hosts", ErrUnauthorized)
		}
		u.User = url.User(u.User.Username())
		return &Remote{url: u, creds: c}, nil
	}
	if !c.LogsIn() && u.User != nil {
		password, _ := u.User.Password()
		c.Username, c.Password = creds.Hide(u.User.Username()), creds.Hide(password)
	}
	u.User = nil
	return &Remote{url: u, creds: c}, nil
}

const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSSH   = "ssh"
)

// ParseURL checks that rawURL can name a Git remote: scheme http, https or ssh,
// a host and a path.
func ParseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrInvalidURL, malformed(rawURL, err))
	}
	switch u.Scheme {
	case schemeHTTP, schemeHTTPS, schemeSSH:
	default:
		scheme := u.Scheme
		if mayHoldUserinfo(rawURL) {
			scheme = "…" // of "token:x-oauth-basic@host/path", the token
		}
		return nil, fmt.Errorf("%w: scheme %q is none of http, https and ssh", ErrInvalidURL, scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: it has no host", ErrInvalidURL)
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("%w: it has no path, so it names no repository", ErrInvalidURL)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: it has a query or a fragment, which a repository has not", ErrInvalidURL)
	}
	return u, nil
}

// malformed says why a URL cannot be parsed, unless the reason may quote a password:
// of one that has a slash, net/url takes what is before it for the port.
func malformed(rawURL string, err error) string {
	var reason *url.Error
	if mayHoldUserinfo(rawURL) || !errors.As(err, &reason) {
		return "it cannot be parsed; special characters in a user name or password are written as %XX"
	}
	return reason.Err.Error()
}

func mayHoldUserinfo(rawURL string) bool { return strings.Contains(rawURL, "@") }

// String returns the URL without userinfo.
func (r *Remote) String() string { return r.url.Scheme + "://" + r.url.Host + r.url.EscapedPath() }

// GoString is String: what else a Remote has is nobody's to see.
func (r *Remote) GoString() string { return r.String() }

// Key identifies what the remote serves to these credentials, for naming a store
// that others with the same may share. It tells nothing of the credentials.
func (r *Remote) Key() string {
	user := ""
	if r.url.Scheme == schemeSSH {
		user = r.user() + "@"
	}
	return digest(r.url.Scheme + "://" + user + r.url.Host + strings.TrimSuffix(r.url.EscapedPath(), "/") + "\n" + r.creds.Fingerprint())
}

// user is who logs in over ssh.
func (r *Remote) user() string {
	if name := r.url.User.Username(); name != "" {
		return name
	}
	return defaultSSHUser
}
