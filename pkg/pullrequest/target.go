package pullrequest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSSH   = "ssh"
)

// Target is a repository in the eyes of a host's API.
type Target struct {
	kind    Kind
	base    url.URL  // of the API, without a slash at the end
	project []string // the path of the repository below the host's pages
	ours    bool     // the API is at the host of the Git remote

	username, password creds.Hidden // that the URL of the remote has
}

// Locate finds out where the API of a remote is, and what it calls the repository. Its
// errors are ErrInvalid, and quote nothing of a user name or password.
func Locate(s Settings, remoteURL string) (Target, error) {
	remote, err := git.ParseURL(remoteURL)
	if err != nil {
		return Target{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	path, err := segments(remote.Path)
	if err != nil {
		return Target{}, fmt.Errorf("%w: the URL of the repository: %w", ErrInvalid, err)
	}
	last := len(path) - 1
	if path[last] = strings.TrimSuffix(path[last], ".git"); path[last] == "" {
		return Target{}, fmt.Errorf("%w: the URL of the repository ends with no name", ErrInvalid)
	}
	pages := pagesOf(remote)
	t := Target{kind: s.Kind}
	t.base, t.project = derive(s.Kind, pages, path, remote.Scheme == schemeSSH)
	t.ours = true
	if remote.User != nil && remote.Scheme != schemeSSH {
		password, _ := remote.User.Password()
		t.username, t.password = creds.Hide(remote.User.Username()), creds.Hide(password)
	}
	if s.API != nil {
		t.ours = s.API.Scheme == t.base.Scheme && (s.API.Host == t.base.Host || s.API.Host == pages.Host)
		t.base, t.project = *s.API, below(prefixOf(s.Kind, s.API.Path), path)
	}
	if err := t.validate(); err != nil {
		return Target{}, err
	}
	return t, nil
}

// pagesOf returns where the host of a remote has its pages, most likely: what SSH is
// spoken to has https on its usual port.
func pagesOf(remote *url.URL) url.URL {
	host := strings.ToLower(remote.Host)
	if remote.Scheme != schemeSSH {
		return url.URL{Scheme: remote.Scheme, Host: host}
	}
	host = strings.ToLower(remote.Hostname())
	switch host {
	case "ssh.github.com", "altssh.gitlab.com": // for networks that let nothing but port 443 out
		_, host, _ = strings.Cut(host, ".")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return url.URL{Scheme: schemeHTTPS, Host: host}
}

// derive tells the API, and the name of the repository, from where the pages are.
func derive(kind Kind, pages url.URL, path []string, overSSH bool) (url.URL, []string) {
	base := pages
	switch {
	case kind == GitHub && (pages.Host == "github.com" || pages.Host == "www.github.com"):
		base.Host = "api.github.com"
		return base, path
	case kind == GitHub && strings.HasSuffix(pages.Host, ".ghe.com"):
		base.Host = "api." + pages.Host
		return base, path
	case kind == Gitea && !overSSH && len(path) > 2:
		// It may be installed below a path, which owner and name follow.
		base.Path = join(path[:len(path)-2])
		path = path[len(path)-2:]
	}
	base.Path += kind.suffix()
	return base, path
}

// prefixOf returns the path that a host is installed below, by that of its API.
func prefixOf(kind Kind, api string) []string {
	prefix, ok := strings.CutSuffix(api, kind.suffix())
	if !ok || prefix == "" {
		return nil
	}
	return strings.Split(strings.Trim(prefix, "/"), "/")
}

// below returns the path of a repository without the one that its host is installed
// below, which is in http URLs and not in those for SSH.
func below(prefix, path []string) []string {
	if len(path) > len(prefix) && slices.Equal(path[:len(prefix)], prefix) {
		return path[len(prefix):]
	}
	return path
}

func (t Target) validate() error {
	switch n := len(t.project); {
	case t.kind == GitLab && n < 2:
		return fmt.Errorf("%w: the URL of the repository has no group and name, which GitLab has", ErrInvalid)
	case t.kind != GitLab && n != 2:
		return fmt.Errorf("%w: the URL of the repository has not the form owner/name below its host: say in the annotation %s where the API is", ErrInvalid, APIAnnotation)
	}
	return nil
}

// String names the repository, and the host.
func (t Target) String() string { return t.base.Host + " for " + strings.Join(t.project, "/") }

// owner is whom the repository belongs to, on hosts without nested groups.
func (t Target) owner() string { return t.project[0] }

// escaped returns the path of the repository, each name of it escaped.
func (t Target) escaped() string {
	names := make([]string, len(t.project))
	for i, name := range t.project {
		names[i] = url.PathEscape(name)
	}
	return strings.Join(names, "/")
}

// segments splits a path, and refuses names that lead somewhere else.
func segments(path string) ([]string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil, nil
	}
	names := strings.Split(path, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, unfit) {
			return nil, errors.New("a name in its path is empty, leads elsewhere or has a control character or backslash")
		}
	}
	return names, nil
}

func unfit(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == utf8.RuneError }

// join is the reverse of segments.
func join(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "/" + strings.Join(names, "/")
}
