package verb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
)

// hostBootstrapper bootstraps from a repository of a host that can be asked for one.
type hostBootstrapper struct {
	bootstrapper
	kind                                    pullrequest.Kind
	owner, repository, hostname, visibility string
	personal, private, reconcile, writeKey  bool
	deployToken                             bool
	teams                                   []string
}

func newBootstrapGitHub(s *session.Session) *cobra.Command {
	return newBootstrapHost(s, pullrequest.GitHub, "GitHub", "github.com", "organisation")
}

func newBootstrapGitea(s *session.Session) *cobra.Command {
	return newBootstrapHost(s, pullrequest.Gitea, "Gitea or Forgejo", "gitea.com", "organisation")
}

func newBootstrapGitLab(s *session.Session) *cobra.Command {
	return newBootstrapHost(s, pullrequest.GitLab, "GitLab", "gitlab.com", "group, such as team/platform")
}

func newBootstrapHost(s *session.Session, kind pullrequest.Kind, name, hostname, owners string) *cobra.Command {
	h := &hostBootstrapper{bootstrapper: bootstrapper{Session: s}, kind: kind}
	variable := bootstrap.TokenVariable(kind)
	cmd := &cobra.Command{
		Use: string(kind), Short: "From a repository of " + name, Args: cobra.NoArgs,
		Long: fmt.Sprintf(`The repository is created if it does not exist. The token comes from the variable %s, or
who is asked. The cluster gets a deploy key of its own, unless --token-auth is given.`, variable),
		Example: fmt.Sprintf("  export %s=<token>\n  weir bootstrap %s --owner=team --repository=fleet --path=clusters/prod --registry=registry.example.com/weir", variable, kind),
		RunE:    func(cmd *cobra.Command, _ []string) error { return h.start(cmd.Context()) },
	}
	fs := cmd.Flags()
	h.bind(fs)
	fs.StringVar(&h.owner, "owner", "", "User or "+owners+" that the repository belongs to")
	fs.StringVar(&h.repository, "repository", "", "Name of the repository")
	fs.BoolVar(&h.personal, "personal", false, "The owner is a user, whose token it is")
	fs.BoolVar(&h.private, "private", true, "Create a repository that not everybody can see")
	fs.StringSliceVar(&h.teams, "team", nil, "Team that gets access, as in crew:maintain")
	fs.StringVar(&h.hostname, "hostname", hostname, "Host of "+name+", with a port if need be")
	fs.BoolVar(&h.writeKey, "read-write-key", false, "Let the key of the cluster push, as an ImageUpdateAutomation needs")
	fs.BoolVar(&h.reconcile, "reconcile", false, "Bring the settings of a repository that exists to what the flags say")
	if kind == pullrequest.GitLab {
		fs.StringVar(&h.visibility, "visibility", "", "private, internal or public")
		fs.BoolVar(&h.deployToken, "deploy-token-auth", false, "Have the cluster use a deploy token of the project")
	}
	return cmd
}

func (h *hostBootstrapper) start(ctx context.Context) error {
	token, err := h.Secret(ctx, "", bootstrap.TokenVariable(h.kind), "token")
	if err != nil {
		return err
	}
	ca, tls, err := h.authority()
	if err != nil {
		return err
	}
	pages, err := pagesOf(h.hostname)
	if err != nil {
		return err
	}
	host, err := provider.New(provider.Options{
		Kind: h.kind, Pages: pages, SSHHost: h.sshHost, Owner: h.owner, Name: h.repository, Personal: h.personal, Token: token, TLS: tls,
	}, nil)
	if err != nil {
		return err
	}
	in := login{git: creds.Git{Username: creds.Hide(h.owner), Password: token, TLS: tls}}
	if in.host, err = h.settings(host); err != nil {
		return err
	}
	at := host.Clone()
	in.url, in.cluster = at.HTTPS, at.SSH
	switch {
	case h.deployToken && h.tokenAuth:
		return errors.New("the cluster gets in one way: use --token-auth or --deploy-token-auth")
	case h.deployToken:
		in.cluster, in.how.CA = at.HTTPS, ca
	case h.tokenAuth:
		in.cluster = at.HTTPS
		in.how = bootstrap.Login{Username: creds.Hide("git"), Password: token, CA: ca}
	default:
		if in.how, err = h.sshKey(ctx, creds.Hidden{}); err != nil {
			return err
		}
	}
	in.ask = h.Attended()
	return h.run(ctx, in)
}

// settings makes those of the repository of the flags.
func (h *hostBootstrapper) settings(host *provider.Host) (*bootstrap.Host, error) {
	out := &bootstrap.Host{Host: host, Reconcile: h.reconcile, WriteKey: h.writeKey, DeployToken: h.deployToken}
	out.Settings.Visibility = h.visibility
	if h.visibility == "" {
		if out.Settings.Visibility = "public"; h.private {
			out.Settings.Visibility = "private"
		}
	}
	switch out.Settings.Visibility {
	case "private", "internal", "public":
	default:
		return nil, fmt.Errorf("--visibility is %q: use private, internal or public", h.visibility)
	}
	for _, text := range h.teams {
		team, err := provider.ParseTeam(text)
		if err != nil {
			return nil, err
		}
		out.Teams = append(out.Teams, team)
	}
	return out, nil
}

// pagesOf returns where a host has its pages. Who wants http has to say so.
func pagesOf(hostname string) (*url.URL, error) {
	raw := hostname
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("--hostname is not the name of a host, as in git.example.com")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}
