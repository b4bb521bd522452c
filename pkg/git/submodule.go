package git

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"weir.dev/pkg/creds"
)

const (
	// modulesFile says where the submodules of a repository are.
	modulesFile = ".gitmodules"
	// maxModulesFile bounds it, in bytes.
	maxModulesFile = 1 << 20
)

// Submodule is a repository in a folder of another.
type Submodule struct {
	Path   string
	URL    string // as it is written, see Remote.Submodule
	Commit plumbing.Hash
}

// Submodules returns which of the entries, that are of the snapshot, are submodules of
// which .gitmodules tells the URL. Git asks for no others; what is a submodule by mistake
// is an empty folder.
func (s *Snapshot) Submodules(entries []Entry) ([]Submodule, error) {
	var all []Submodule
	var urls map[string]string
	for _, e := range entries {
		if !e.Submodule {
			continue
		}
		if urls == nil {
			var err error
			if urls, err = s.modules(); err != nil {
				return nil, fmt.Errorf("%s: %w", modulesFile, err)
			}
		}
		if where, ok := urls[e.Path]; ok {
			all = append(all, Submodule{Path: e.Path, URL: where, Commit: e.hash})
		}
	}
	return all, nil
}

// modules returns the URLs of submodules by their paths.
func (s *Snapshot) modules() (map[string]string, error) {
	e, ok := entryOf(s.tree, modulesFile)
	switch {
	case !ok:
		return map[string]string{}, nil
	case !e.Mode.IsFile() || e.Mode == filemode.Symlink:
		return nil, fmt.Errorf("%w: it is no regular file", ErrBadName)
	}
	content, size, err := s.Open(Entry{Path: modulesFile, hash: e.Hash})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if size > maxModulesFile {
		return nil, fmt.Errorf("%w: it has %d bytes, and the limit is %d", ErrTooLarge, size, maxModulesFile)
	}
	text, err := io.ReadAll(io.LimitReader(content, maxModulesFile))
	if err != nil {
		return nil, s.from.mark(fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	return parseModules(text)
}

// parseModules reads a .gitmodules file.
func parseModules(text []byte) (map[string]string, error) {
	modules := config.NewModules()
	if err := modules.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("it is not as git writes it: %w", err)
	}
	urls := make(map[string]string)
	for _, m := range modules.Submodules {
		at := strings.TrimSuffix(m.Path, "/")
		if at == "" || m.URL == "" {
			continue // which git does without, too
		}
		if other, ok := urls[at]; ok && other != m.URL {
			return nil, fmt.Errorf("it has two URLs for the submodule %q", at)
		}
		urls[at] = m.URL
	}
	return urls, nil
}

// short is the form user@host:path of an SSH URL.
var short = regexp.MustCompile(`^([^@:/]+@)?([^@:/]+):([^/:].*|/[^/].*)$`)

// Submodule returns the remote of a submodule of r, by its URL in .gitmodules, which may
// be relative to that of r, or in the short form of SSH.
//
// The credentials of r go along to the same host, over the same protocol. Another host gets
// no password, token or client certificate; an SSH identity may be shown to whatever
// host the known_hosts beside it vouch for.
func (r *Remote) Submodule(rawURL string) (*Remote, error) {
	absolute, err := r.absolute(rawURL)
	if err != nil {
		return nil, err
	}
	u, err := ParseURL(absolute)
	if err != nil {
		return nil, err
	}
	c := r.creds
	if u.Scheme != r.url.Scheme || u.Host != r.url.Host {
		c = creds.Git{TLS: creds.TLS{CA: r.creds.TLS.CA}, Proxy: r.creds.Proxy}
		if u.Scheme == schemeSSH {
			c.SSH = r.creds.SSH
		}
	}
	return NewRemote(absolute, c)
}

// absolute returns a URL with a scheme for one that .gitmodules may have.
func (r *Remote) absolute(rawURL string) (string, error) {
	if strings.HasPrefix(rawURL, "./") || strings.HasPrefix(rawURL, "../") {
		base := strings.TrimSuffix(r.url.EscapedPath(), "/")
		rest := rawURL
		for {
			if after, ok := strings.CutPrefix(rest, "./"); ok {
				rest = after
				continue
			}
			after, ok := strings.CutPrefix(rest, "../")
			if !ok {
				break
			}
			if base = strings.TrimSuffix(path.Dir(base), "/"); base == "" && strings.HasPrefix(after, "../") {
				return "", fmt.Errorf("%w: %q is outside of the host of the repository", ErrInvalidURL, rawURL)
			}
			rest = after
		}
		u := url.URL{Scheme: r.url.Scheme, Host: r.url.Host, User: r.url.User}
		return u.String() + base + "/" + rest, nil
	}
	if m := short.FindStringSubmatch(rawURL); m != nil && !strings.Contains(rawURL, "://") {
		return "ssh://" + m[1] + m[2] + "/" + strings.TrimPrefix(m[3], "/"), nil
	}
	return rawURL, nil
}

// Within returns the entry at another path: that of a folder, and then its own.
func (e Entry) Within(folder string) Entry {
	e.Path = path.Join(folder, e.Path)
	return e
}
