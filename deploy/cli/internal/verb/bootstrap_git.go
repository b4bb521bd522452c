package verb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// gitBootstrapper bootstraps from a repository on any server.
type gitBootstrapper struct {
	bootstrapper
	url, username, password  string
	silent, insecure, bearer bool
}

func newBootstrapGit(s *session.Session) *cobra.Command {
	g := &gitBootstrapper{bootstrapper: bootstrapper{Session: s}}
	cmd := &cobra.Command{
		Use: "git", Short: "From a repository on any Git server", Args: cobra.NoArgs,
		Long: `The repository must exist; it may be empty. Over https, the cluster uses the password too
if --token-auth is given, and else an SSH key, whose public part is shown to be given access.
The password comes from --password, the variable GIT_PASSWORD, or who is asked.`,
		Example: `  weir bootstrap git --url=ssh://git@example.com/team/fleet --private-key-file=id --path=clusters/prod --registry=registry.example.com/weir
  GIT_PASSWORD=… weir bootstrap git --url=https://example.com/team/fleet.git --username=ann --token-auth --path=clusters/prod`,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.start(cmd.Context()) },
	}
	fs := cmd.Flags()
	g.bind(fs)
	fs.StringVar(&g.url, "url", "", "URL of the repository: ssh, https or http")
	fs.StringVarP(&g.username, "username", "u", "git", "User name, for https")
	fs.StringVarP(&g.password, "password", "p", "", "Password, for https; or of the private key")
	fs.BoolVarP(&g.silent, "silent", "s", false, "Ask nothing")
	fs.BoolVar(&g.insecure, "allow-insecure-http", false, "Allow to send the password over http, for everybody on the way to see")
	fs.BoolVar(&g.bearer, "with-bearer-token", false, "The password is a bearer token")
	return cmd
}

func (g *gitBootstrapper) start(ctx context.Context) error {
	u, err := git.ParseURL(g.url)
	if err != nil {
		return session.Hint(fmt.Errorf("--url: %w", err), "use a URL as in --url=https://example.com/team/fleet.git")
	}
	if u.Scheme == "http" && !g.insecure {
		return session.Hint(errors.New("--url is http, where everybody on the way can see the password"), "use https, or --allow-insecure-http")
	}
	_, ask := keyboard(g.Session)
	in := login{ask: ask && !g.silent}
	if u.Scheme == "ssh" {
		err = g.overSSH(ctx, u, &in)
	} else {
		err = g.overHTTP(u, &in)
	}
	if err != nil {
		return err
	}
	return g.run(ctx, in)
}

// overHTTP gets in by a password, and so does the cluster if it may.
func (g *gitBootstrapper) overHTTP(u *url.URL, in *login) error {
	if u.User != nil {
		return session.Hint(errors.New("--url has a user name or password"), "use --username and --password, or the variable GIT_PASSWORD")
	}
	password, err := secretFrom(g.Session, g.password, "GIT_PASSWORD", "password")
	if err != nil {
		return err
	}
	ca, tls, err := g.authority()
	if err != nil {
		return err
	}
	in.url, in.git = u.String(), creds.Git{TLS: tls}
	if g.bearer {
		in.git.BearerToken = password
	} else {
		in.git.Username, in.git.Password = creds.Hide(g.username), password
	}
	if g.tokenAuth || g.bearer {
		in.cluster = in.url
		in.how.Username, in.how.Password, in.how.Bearer, in.how.CA = in.git.Username, in.git.Password, in.git.BearerToken, ca
		return nil
	}
	host := g.sshHost
	if host == "" {
		host = u.Hostname()
	}
	in.cluster = (&url.URL{Scheme: "ssh", User: url.User("git"), Host: host, Path: u.Path}).String()
	in.how, err = g.sshKey(creds.Hidden{})
	return err
}

// overSSH gets in by the key that the cluster gets, or by one of the agent.
func (g *gitBootstrapper) overSSH(ctx context.Context, u *url.URL, in *login) error {
	if g.tokenAuth || g.bearer {
		return session.Hint(errors.New("--token-auth needs a password or token, which SSH does not take"), "use a URL of https")
	}
	if g.sshHost != "" {
		u.Host = g.sshHost
	}
	in.url, in.cluster = u.String(), u.String()
	var err error
	if in.how, err = g.sshKey(creds.Hide(g.password)); err != nil {
		return err
	}
	known, err := git.NewClient(git.Limits{}).ScanHostKeys(ctx, in.url, creds.Proxy{})
	if err != nil {
		return withNext(bootstrap.Unreachable(err))
	}
	if in.how.Identity != nil {
		in.git, err = creds.GitSSH(map[string][]byte{"identity": in.how.Identity, "password": []byte(g.password), "known_hosts": known}, "--private-key-file")
		return err
	}
	in.git, err = g.byAgent(ctx, in.url, known)
	return err
}

// byAgent returns the first key of the SSH agent that the repository lets in.
func (g *gitBootstrapper) byAgent(ctx context.Context, rawURL string, known []byte) (creds.Git, error) {
	none := session.Hint(errors.New("there is no SSH key to push with"), "name one: --private-key-file=<file>; or add one to an agent: ssh-add <file>")
	socket := g.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return creds.Git{}, none
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return creds.Git{}, session.Hint(fmt.Errorf("asking the SSH agent: %w", err), "name a key: --private-key-file=<file>")
	}
	keys, err := agent.NewClient(conn).Signers() // the connection is needed as long as they are
	if err != nil {
		return creds.Git{}, fmt.Errorf("asking the SSH agent: %w", err)
	}
	for _, key := range keys {
		c, err := g.tryKey(ctx, rawURL, key, known)
		if err == nil || !errors.Is(err, git.ErrUnauthorized) && !errors.Is(err, git.ErrNotFound) {
			return c, err
		}
	}
	return creds.Git{}, none
}

// tryKey asks a repository whether it lets a key in.
func (g *gitBootstrapper) tryKey(ctx context.Context, rawURL string, key ssh.Signer, known []byte) (creds.Git, error) {
	c := creds.Git{SSH: creds.NewSSH(key, known)}
	remote, err := git.NewRemote(rawURL, c)
	if err != nil {
		return c, err
	}
	conn, err := git.NewClient(git.Limits{}).Dial(ctx, remote)
	if errors.Is(err, git.ErrEmpty) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	return c, conn.Close()
}
