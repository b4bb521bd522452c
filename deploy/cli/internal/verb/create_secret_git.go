package verb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// gitLogin is how a controller gets in to a Git repository.
type gitLogin struct {
	*session.Session
	keyFlags
	url, username, password, bearer, caFile string
}

func (l *gitLogin) bind(fs *pflag.FlagSet) {
	l.keyFlags.bind(fs)
	fs.StringVar(&l.url, "url", "", "URL of the repository: https, http or ssh")
	fs.StringVarP(&l.username, "username", "u", "", "user name, for https")
	fs.StringVarP(&l.password, "password", "p", "", "password, for https; or of the private key; better in the variable "+passwordVariable+", or - to read it")
	fs.StringVar(&l.caFile, "ca-file", "", "file of the authority that has signed the certificate of the host")
}

// wanted reports whether there has to be a Secret.
func (l *gitLogin) wanted() bool {
	return l.overSSH() || l.username != "" || l.password != "" || l.bearer != "" || l.caFile != ""
}

func (l *gitLogin) overSSH() bool { return strings.HasPrefix(l.url, "ssh://") }

// check refuses what does not go together.
func (l *gitLogin) check() error {
	u, err := git.ParseURL(l.url)
	if err != nil {
		return session.Hint(fmt.Errorf("--url: %w", err), "use a URL as in --url=https://example.com/team/fleet.git, or ssh://git@example.com/team/fleet")
	}
	switch {
	case u.Scheme == "ssh" && (l.bearer != "" || l.caFile != "" || l.username != ""):
		return errors.New("--username, --bearer-token and --ca-file are for https, and --url is ssh")
	case u.Scheme != "ssh" && l.privateKeyFile != "":
		return errors.New("--private-key-file is for ssh, and --url is " + u.Scheme)
	case l.bearer != "" && (l.username != "" || l.password != ""):
		return errors.New("one gets in either by --bearer-token or by --username and --password")
	case u.User != nil && u.Scheme != "ssh":
		return session.Hint(errors.New("--url has a user name or password"), "use --username and --password")
	}
	return l.key.Validate()
}

// live returns what a Secret has that there may be.
func (l *gitLogin) live(ctx context.Context, key client.ObjectKey) (map[string][]byte, error) {
	ctx, cancel := l.Context(ctx)
	defer cancel()
	c, err := l.Client()
	if err != nil {
		return nil, err
	}
	return bootstrap.SecretData(ctx, c, key)
}

// data returns what the Secret of a key is to have, where have is what it has; nil if that is
// good as it is. Who is asked for a password may think.
func (l *gitLogin) data(ctx context.Context, key client.ObjectKey, have map[string][]byte) (map[string][]byte, error) {
	in, err := l.how(ctx)
	if err != nil {
		return nil, err
	}
	if !in.SSH && in.Password.Empty() && in.Bearer.Empty() {
		return map[string][]byte{"ca.crt": in.CA}, nil
	}
	return in.Secret(have, func(known []byte) ([]byte, error) {
		ctx, cancel := l.Context(ctx)
		defer cancel()
		return hostKeys(l.Session, key).Of(ctx, l.url, known)
	})
}

// how returns how the controller gets in.
func (l *gitLogin) how(ctx context.Context) (bootstrap.Login, error) {
	var in bootstrap.Login
	var err error
	if l.overSSH() {
		passphrase := creds.Hidden{}
		if l.privateKeyFile != "" {
			if passphrase, err = l.Given(ctx, l.password, passwordVariable, "password of the private key"); err != nil {
				return in, err
			}
		}
		return l.login(ctx, l.Session, passphrase)
	}
	if l.caFile != "" {
		if in.CA, err = readFile("--ca-file", l.caFile); err != nil {
			return in, err
		}
	}
	switch {
	case l.bearer != "":
		in.Bearer, err = l.Given(ctx, l.bearer, "", "token")
		return in, err
	case l.username == "" && l.password == "" && in.CA != nil:
		return in, nil
	case l.username == "":
		return in, errors.New("--username is missing")
	}
	in.Username = creds.Hide(l.username)
	in.Password, err = l.Secret(ctx, l.password, passwordVariable, "password")
	return in, err
}

func newCreateSecretGit(c *creation) *cobra.Command {
	l := &gitLogin{Session: c.Session}
	cmd := c.command("git", "Create a Secret for a Git repository", `  weir create secret git podinfo-auth --url=ssh://git@example.com/podinfo --ssh-key-algorithm=ed25519
  GIT_PASSWORD=… weir create secret git podinfo-auth --url=https://example.com/podinfo.git --username=ann --export`,
		func(ctx context.Context, name string) ([]client.Object, error) {
			if err := needed(flagValue{"url", l.url}); err != nil {
				return nil, err
			}
			if err := l.check(); err != nil {
				return nil, err
			}
			data, err := l.data(ctx, client.ObjectKey{Namespace: c.Namespace(), Name: name}, nil)
			if err != nil {
				return nil, err
			}
			if public := string(data["identity.pub"]); public != "" {
				l.Say("public key, which the repository has to give access:\n%s", strings.TrimSpace(public))
			}
			secret, err := c.secretOf(name, data)
			return []client.Object{secret}, err
		})
	fs := cmd.Flags()
	l.bind(fs)
	fs.StringVar(&l.caFile, "ca-crt-file", "", "file of the authority that has signed the certificate of the host")
	fs.StringVar(&l.bearer, "bearer-token", "", "token, for https; better - to read it")
	fs.Lookup("ca-file").Deprecated = "use --ca-crt-file"
	return cmd
}

// webhookAnnotation is where the Secret of a Receiver says which URL to call.
const webhookAnnotation = "notification.toolkit.fluxcd.io/webhook"

// receiverSecret makes the Secret of a Receiver.
type receiverSecret struct {
	*creation
	token, kind, host, email, audience string
}

func newCreateSecretReceiver(c *creation) *cobra.Command {
	r := &receiverSecret{creation: c}
	cmd := c.command("receiver", "Create a Secret for a Receiver", `  weir create secret receiver github-webhook --type=github --hostname=hooks.example.com`, r.build)
	fs := cmd.Flags()
	fs.StringVar(&r.token, "token", "", "what a caller has to know, by default something new; better in the variable "+tokenVariable+", or - to read it")
	fs.StringVar(&r.kind, "type", "", "type of the Receiver")
	fs.StringVar(&r.host, "hostname", "", "host at which the Receiver of the same name is called; the Secret then says the URL")
	fs.StringVar(&r.email, "email-claim", "", "who a caller has to be, for type gcr")
	fs.StringVar(&r.audience, "audience-claim", "", "whom a call has to be meant for, for type gcr")
	return cmd
}

func (r *receiverSecret) build(ctx context.Context, name string) ([]client.Object, error) {
	if r.kind != "" {
		if err := oneOf("type", r.kind, receiverTypes...); err != nil {
			return nil, err
		}
	}
	if (r.email != "" || r.audience != "") && r.kind != "gcr" {
		return nil, errors.New("--email-claim and --audience-claim are for --type=gcr")
	}
	given, err := r.Given(ctx, r.token, tokenVariable, "token")
	if err != nil {
		return nil, err
	}
	token := given.Reveal()
	if token == "" {
		var random [32]byte
		if _, err := rand.Read(random[:]); err != nil {
			return nil, fmt.Errorf("making a token: %w", err)
		}
		token = hex.EncodeToString(random[:])
	}
	data := map[string][]byte{"token": []byte(token)}
	if r.email != "" {
		data["email"] = []byte(r.email)
	}
	if r.audience != "" {
		data["audience"] = []byte(r.audience)
	}
	secret, err := r.secretOf(name, data)
	if err != nil {
		return nil, err
	}
	if r.host != "" {
		called := &url.URL{Scheme: "https", Host: r.host, Path: webhookPath(token, name, secret.Namespace)}
		secret.Annotations = map[string]string{webhookAnnotation: called.String()}
		r.Say("URL to call: %s", called)
	}
	return []client.Object{secret}, nil
}

// webhookPath is where the Receiver of a name is called.
func webhookPath(token, name, namespace string) string {
	sum := sha256.Sum256([]byte(token + name + namespace))
	return "/hook/" + hex.EncodeToString(sum[:])
}
