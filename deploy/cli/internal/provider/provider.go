// Package provider speaks to the hosts of Git repositories about what Git itself has no
// words for: repositories, who may use them, and keys that let a cluster read one. It
// knows GitHub, GitLab and Gitea, which Forgejo is, too.
//
// Everything that is to be so is looked for first, so that each call may be made again at
// any time, and changes nothing the second time. Errors tell no token.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
)

// ErrNotFound: there is no such repository, or the token may not see it.
var ErrNotFound = pullrequest.ErrNotFound

// maxPages bounds what is listed of a repository, of which a page has pageSize at most: who
// administers the host may have made them smaller.
const (
	maxPages = 100
	pageSize = 100
)

// Options say which repository is meant, and how to get in.
type Options struct {
	Kind pullrequest.Kind
	// Pages is where the host has its pages, such as https://github.com.
	Pages *url.URL
	// SSHHost is host and perhaps port that SSH is spoken to; "" is that of Pages.
	SSHHost string
	// Owner is a user, an organisation, or the path of a group; Name is that of the repository.
	Owner, Name string
	// Personal says that the owner is the user whose token it is.
	Personal bool
	Token    creds.Hidden
	TLS      creds.TLS
}

// Validate refuses names that lead somewhere else.
func (o Options) Validate() error {
	switch {
	case o.Owner == "":
		return errors.New("--owner is required: the user, organisation or group that the repository belongs to")
	case o.Name == "":
		return errors.New("--repository is required: the name of the repository")
	case !nameable(o.Name) || strings.Contains(o.Name, "/"):
		return fmt.Errorf("--repository is %q: use the name alone, without its owner", o.Name)
	case !nameable(o.Owner):
		return fmt.Errorf("--owner is %q: that is no name of a user or group", o.Owner)
	case strings.Contains(o.Owner, "/") && o.Kind != pullrequest.GitLab:
		return fmt.Errorf("--owner is %q: only GitLab has groups in groups", o.Owner)
	}
	return nil
}

// nameable reports whether each part of a path is a name.
func nameable(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`\?#%:@`, r) }) {
			return false
		}
	}
	return true
}

// Repository is one that a host knows.
type Repository struct {
	// HTTPS and SSH are the URLs to clone it.
	HTTPS, SSH string
	// Visibility is public, private or internal.
	Visibility string

	id int64 // of GitLab
}

// Settings are what a repository is to be like.
type Settings struct {
	// Visibility is public, private or, on GitLab, internal.
	Visibility string
	// Branch is the one that it begins with.
	Branch string
}

// Team is whom a repository is opened to.
type Team struct {
	Name       string
	Permission string
}

// ParseTeam reads "name" or "name:permission".
func ParseTeam(text string) (Team, error) {
	name, permission, given := strings.Cut(text, ":")
	if !given {
		permission = "maintain"
	}
	if !nameable(name) || !nameable(permission) {
		return Team{}, fmt.Errorf("--team is %q: use <team> or <team>:<permission>", text)
	}
	return Team{Name: name, Permission: permission}, nil
}

// Host is the host of one repository.
type Host struct {
	opts   Options
	api    api
	access pullrequest.Access
}

// api is what the hosts have in common.
type api interface {
	find(ctx context.Context) (Repository, error)
	create(ctx context.Context, s Settings) (Repository, error)
	update(ctx context.Context, r Repository, s Settings) error
	grant(ctx context.Context, r Repository, t Team) (changed bool, err error)
	keys(ctx context.Context, r Repository, page int) ([]Key, error)
	addKey(ctx context.Context, r Repository, k Key) error
	deleteKey(ctx context.Context, r Repository, id int64) error
	// inTheWay reports whether a key has to go before another is taken.
	inTheWay(there, k Key) bool
}

// New returns the host of a repository, to be asked through transport; nil means one of
// its own, which trusts what the options say.
func New(o Options, transport http.RoundTripper) (*Host, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	h := &Host{opts: o, access: pullrequest.Access{Token: o.Token, TLS: o.TLS}}
	if transport == nil {
		transport = h.access.Transport()
	}
	c, err := pullrequest.NewAPI(o.Kind, o.Kind.Base(o.Pages), h.access, need(o.Kind), transport)
	if err != nil {
		return nil, err
	}
	at := remote{API: c, opts: o}
	switch o.Kind {
	case pullrequest.GitHub:
		h.api = github{repos{at}}
	case pullrequest.GitLab:
		h.api = gitlab{at}
	case pullrequest.Gitea:
		h.api = gitea{repos{at}}
	default:
		return nil, fmt.Errorf("nothing is known of the host %q", o.Kind)
	}
	return h, nil
}

// need is what a token must be allowed to do.
func need(kind pullrequest.Kind) string {
	switch kind {
	case pullrequest.GitHub:
		return "the permissions 'Administration' and 'Contents' (read and write) of a fine-grained token, or the scope 'repo' of a classic token, and the role of an administrator of the repository"
	case pullrequest.GitLab:
		return "the scope 'api' and the role Maintainer"
	default:
		return "the scopes 'write:repository' and, for a repository that is to be created, 'write:user' or 'write:organization'"
	}
}

// String names the repository.
func (h *Host) String() string { return h.opts.Pages.Host + "/" + h.opts.Owner + "/" + h.opts.Name }

// Kind is what the host speaks.
func (h *Host) Kind() pullrequest.Kind { return h.opts.Kind }

// Clone returns the URLs of the repository, whether or not it exists.
func (h *Host) Clone() Repository { return remote{opts: h.opts}.clone() }

// Find looks for the repository. The error is ErrNotFound if there is none, or the token
// may not see it.
func (h *Host) Find(ctx context.Context) (Repository, error) {
	r, err := h.api.find(ctx)
	if err != nil {
		return Repository{}, fmt.Errorf("looking for the repository %s: %w", h, err)
	}
	return r, nil
}

// Create creates the repository, without a commit. One that has appeared since somebody
// looked serves as well.
func (h *Host) Create(ctx context.Context, s Settings) (Repository, error) {
	r, err := h.api.create(ctx, s)
	if errors.Is(err, pullrequest.ErrRefused) {
		if found, again := h.api.find(ctx); again == nil {
			return found, nil
		}
	}
	if err != nil {
		return Repository{}, fmt.Errorf("creating the repository %s: %w", h, err)
	}
	return r, nil
}

// Update brings the repository to what the settings say, and reports whether it was
// otherwise.
func (h *Host) Update(ctx context.Context, r Repository, s Settings) (changed bool, err error) {
	if r.Visibility == s.Visibility {
		return false, nil
	}
	if err := h.api.update(ctx, r, s); err != nil {
		return false, fmt.Errorf("updating the repository %s: %w", h, err)
	}
	return true, nil
}

// Grant opens the repository to a team, and reports whether it was not before.
func (h *Host) Grant(ctx context.Context, r Repository, t Team) (changed bool, err error) {
	if changed, err = h.api.grant(ctx, r, t); err != nil {
		return false, fmt.Errorf("giving %q access to %s: %w", t.Name, h, err)
	}
	return changed, nil
}

// PullRequests returns how pull requests of the repository are opened.
func (h *Host) PullRequests(r Repository, transport http.RoundTripper) (*pullrequest.Host, error) {
	target, err := pullrequest.Locate(pullrequest.Settings{Kind: h.opts.Kind, API: h.opts.Kind.Base(h.opts.Pages)}, r.HTTPS)
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = h.access.Transport()
	}
	return pullrequest.New(target, h.access, transport)
}

// remote is what asking a host takes.
type remote struct {
	*pullrequest.API
	opts Options
}

// clone returns the URLs of the repository, which are not taken from the answer of a host:
// one behind a proxy does not know by what name it is reached.
func (r remote) clone() Repository {
	path := "/" + r.opts.Owner + "/" + r.opts.Name
	host := r.opts.SSHHost
	if host == "" {
		host = r.opts.Pages.Hostname()
	}
	https := *r.opts.Pages
	https.Path = strings.TrimSuffix(https.Path, "/") + path + ".git"
	ssh := url.URL{Scheme: "ssh", User: url.User("git"), Host: host, Path: path}
	return Repository{HTTPS: https.String(), SSH: ssh.String()}
}

// mustBeOwner refuses a personal repository of somebody else than whose the token is.
func (r remote) mustBeOwner(ctx context.Context) error {
	var user struct {
		Login    string `json:"login"`
		Username string `json:"username"` // as GitLab has it
	}
	if err := r.Do(ctx, http.MethodGet, "/user", nil, nil, &user); err != nil {
		return err
	}
	name := user.Login
	if r.opts.Kind == pullrequest.GitLab {
		name = user.Username
	}
	if !strings.EqualFold(name, r.opts.Owner) {
		return fmt.Errorf("--personal: the token is that of %q, and --owner is %q: take a token of the owner, or leave out --personal if that is an organisation", name, r.opts.Owner)
	}
	return nil
}

// paged is the query of a page.
func paged(page int) url.Values {
	return url.Values{"per_page": {fmt.Sprint(pageSize)}, "page": {fmt.Sprint(page)}}
}

// each hands all that is on some pages to see. The end is a page that is empty: how many
// are on the others is up to the host.
func each[T any](read func(page int) ([]T, error), see func(T)) error {
	for page := 1; page <= maxPages; page++ {
		all, err := read(page)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, one := range all {
			see(one)
		}
	}
	return nil
}
