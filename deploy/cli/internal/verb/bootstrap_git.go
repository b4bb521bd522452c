package verb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh/agent"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// agentVariable has where the SSH agent listens.
const agentVariable = "SSH_AUTH_SOCK"

// gitBootstrapper bootstraps from a repository on any server.
type gitBootstrapper struct {
	bootstrapper
	url, username, password string
	insecure, bearer        bool
}

func newBootstrapGit(s *session.Session) *cobra.Command {
	g := &gitBootstrapper{bootstrapper: bootstrapper{Session: s}}
	cmd := &cobra.Command{
		Use: "git", Short: "From a repository on any Git server", Args: cobra.NoArgs,
		Long: `The repository must exist; it may be empty. Over https, the cluster uses the password too
if --token-auth is given, and else an SSH key, whose public part is shown to be given access.
The password comes from --password, the variable GIT_PASSWORD, or who is asked.
Over ssh, this is that of the private key.`,
		Example: `  weir bootstrap git --url=ssh://git@example.com/team/fleet --private-key-file=id --path=clusters/prod --registry=registry.example.com/weir
  GIT_PASSWORD=… weir bootstrap git --url=https://example.com/team/fleet.git --username=ann --token-auth --path=clusters/prod`,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.start(cmd.Context()) },
	}
	fs := cmd.Flags()
	g.bind(fs)
	fs.StringVar(&g.url, "url", "", "URL of the repository: ssh, https or http")
	fs.StringVarP(&g.username, "username", "u", "git", "User name, for https; or for ssh, in place of that of the URL")
	fs.StringVarP(&g.password, "password", "p", "", "Password, for https; or of the private key; better in the variable "+passwordVariable+", or - to read it")
	fs.BoolVarP(&g.Silent, "silent", "s", false, "Ask nothing")
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
	in := login{ask: g.Attended() && !g.Silent}
	if u.Scheme == "ssh" {
		err = g.overSSH(ctx, u, &in)
	} else {
		err = g.overHTTP(ctx, u, &in)
	}
	if err != nil {
		return err
	}
	return g.run(ctx, in)
}

// overHTTP gets in by a password, and so does the cluster if it may.
func (g *gitBootstrapper) overHTTP(ctx context.Context, u *url.URL, in *login) error {
	if u.User != nil {
		return session.Hint(errors.New("--url has a user name or password"), "use --username and --password, or the variable "+passwordVariable)
	}
	password, err := g.Secret(ctx, g.password, passwordVariable, "password")
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
	if g.byToken() {
		in.cluster = in.url
		in.how.Username, in.how.Password, in.how.Bearer, in.how.CA = in.git.Username, in.git.Password, in.git.BearerToken, ca
		return nil
	}
	host := g.sshHost
	if host == "" {
		host = u.Hostname()
	}
	in.cluster = (&url.URL{Scheme: "ssh", User: url.User("git"), Host: host, Path: u.Path}).String()
	in.how, err = g.sshKey(ctx, creds.Hidden{})
	return err
}

// byToken reports whether the cluster gets in by a password or token.
func (g *gitBootstrapper) byToken() bool { return g.tokenAuth || g.bearer }

// overSSH gets in by a key: the one that the cluster gets, or one of the agent. A cluster
// that is to use a password or token does so over https.
func (g *gitBootstrapper) overSSH(ctx context.Context, u *url.URL, in *login) error {
	var password creds.Hidden
	var err error
	if g.byToken() {
		if err = g.overHTTP(ctx, &url.URL{Scheme: "https", Host: u.Hostname(), Path: u.Path}, in); err != nil {
			return err
		}
		if g.privateKeyFile == "" && g.Getenv(agentVariable) == "" {
			return nil // there is nothing but the password to push with
		}
		password = in.git.Password
	} else if password, err = g.Given(ctx, g.password, passwordVariable, "password"); err != nil {
		return err
	}
	key, err := g.sshKey(ctx, password)
	if err != nil {
		return err
	}
	if in.url = g.sshURL(u); !g.byToken() {
		in.cluster, in.how = in.url, key
	}
	ctx, cancel := g.Context(ctx)
	defer cancel()
	return g.pushByKey(ctx, key, in)
}

// sshURL is an ssh URL with who logs in: as it says, unless a flag says otherwise.
func (g *gitBootstrapper) sshURL(u *url.URL) string {
	at := *u
	if at.User = url.User(u.User.Username()); at.User.Username() == "" || g.given("username") {
		at.User = url.User(g.username)
	}
	if g.sshHost != "" {
		at.Host = g.sshHost
	}
	return at.String()
}

// pushByKey has this command push by a key, or by one of the agent.
func (g *gitBootstrapper) pushByKey(ctx context.Context, key bootstrap.Login, in *login) error {
	c, err := g.Client()
	if err != nil {
		return err
	}
	keys := g.hostKeys()
	have, err := bootstrap.SecretData(ctx, c, keys.Secret)
	if err != nil {
		return err
	}
	if in.trusted, err = keys.Of(ctx, in.url, have["known_hosts"]); err != nil {
		return withNext(err)
	}
	if key.Identity != nil {
		in.git, err = creds.GitSSH(map[string][]byte{"identity": key.Identity, "password": []byte(key.Passphrase.Reveal()), "known_hosts": in.trusted}, "--private-key-file")
		return err
	}
	in.git, err = g.byAgent(ctx, in.url, in.trusted)
	return withNext(keys.Untrusted(err, in.url))
}

// byAgent returns the first key of the SSH agent that the repository lets in.
func (g *gitBootstrapper) byAgent(ctx context.Context, rawURL string, known []byte) (creds.Git, error) {
	none := session.Hint(errors.New("there is no SSH key to push with"), "name one: --private-key-file=<file>; or add one to an agent: ssh-add <file>")
	socket := g.Getenv(agentVariable)
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
		c := creds.Git{SSH: creds.NewSSH(key, known)}
		if admitted, err := bootstrap.Admits(ctx, rawURL, c); admitted || err != nil {
			return c, bootstrap.Unreachable(err)
		}
	}
	return creds.Git{}, none
}
