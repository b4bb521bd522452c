package pullrequest

import (
	"fmt"
	"net/url"
	"strings"
)

// Annotations of an automation.
const (
	// Annotation asks for pull requests, and says what kind of host the Git remote is: a
	// Kind.
	Annotation = "image.weir.dev/pull-request"
	// APIAnnotation is the base URL of the host's API, where it cannot be told from the
	// URL of the Git remote.
	APIAnnotation = "image.weir.dev/pull-request-api"
	// SecretAnnotation names a Secret in the namespace of the automation. Its token is
	// used in place of the Git credentials.
	SecretAnnotation = "image.weir.dev/pull-request-secret"
)

// Kind is what a host speaks.
type Kind string

// Kinds of hosts.
const (
	GitHub Kind = "github"
	GitLab Kind = "gitlab"
	Gitea  Kind = "gitea" // and Forgejo, which speaks the same
)

// suffix is what the URL of the API ends with, below that of the pages.
func (k Kind) suffix() string {
	switch k {
	case GitHub:
		return "/api/v3"
	case GitLab:
		return "/api/v4"
	default:
		return "/api/v1"
	}
}

// permission is what a token needs.
func (k Kind) permission() string {
	switch k {
	case GitHub:
		return "the permission 'Pull requests: write' of a fine-grained token or of a GitHub App, or the scope 'repo' of a classic token"
	case GitLab:
		return "the scope 'api' and the role Developer"
	default:
		return "the scope 'write:repository'"
	}
}

// Settings are what the annotations of an automation say.
type Settings struct {
	Kind   Kind     // "" if no pull request is wanted
	API    *url.URL // nil if it is to be told from the URL of the remote
	Secret string   // "" if the Git credentials are to be used
}

// Wanted reports whether pull requests are asked for.
func (s Settings) Wanted() bool { return s.Kind != "" }

// ParseSettings reads annotations. Its errors are ErrInvalid.
func ParseSettings(annotations map[string]string) (Settings, error) {
	kind, asked := annotations[Annotation]
	if !asked {
		for _, name := range []string{APIAnnotation, SecretAnnotation} {
			if _, there := annotations[name]; there {
				return Settings{}, fmt.Errorf("%w: the annotation %s means nothing without %s", ErrInvalid, name, Annotation)
			}
		}
		return Settings{}, nil
	}
	s := Settings{Kind: Kind(kind), Secret: annotations[SecretAnnotation]}
	switch s.Kind {
	case GitHub, GitLab, Gitea:
	default:
		return Settings{}, fmt.Errorf("%w: the annotation %s is %q, which is none of github, gitlab and gitea (which Forgejo is, too)", ErrInvalid, Annotation, cut(kind, 50))
	}
	if _, there := annotations[SecretAnnotation]; there && (s.Secret == "" || strings.ContainsAny(s.Secret, "/ \t\r\n")) {
		return Settings{}, fmt.Errorf("%w: the annotation %s is no name of a Secret, which is in the namespace of the automation", ErrInvalid, SecretAnnotation)
	}
	if raw, there := annotations[APIAnnotation]; there {
		var err error
		if s.API, err = parseAPI(raw); err != nil {
			return Settings{}, err
		}
	}
	return s, nil
}

// parseAPI reads the base URL of an API, without a slash at the end. Errors do not
// quote it: it may hold a password.
func parseAPI(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS:
		return nil, fmt.Errorf("%w: the annotation %s is no http or https URL", ErrInvalid, APIAnnotation)
	case u.User != nil:
		return nil, fmt.Errorf("%w: the annotation %s has a user name or password, which belong in a Secret", ErrInvalid, APIAnnotation)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: the annotation %s has a query or a fragment, which a base URL has not", ErrInvalid, APIAnnotation)
	}
	path, err := segments(u.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: the annotation %s: %w", ErrInvalid, APIAnnotation, err)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: join(path)}, nil
}
