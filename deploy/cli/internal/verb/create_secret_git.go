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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// gitLogin is how a controller gets in to a Git repository.
type gitLogin struct {
	*session.Session
	url, username, password, bearer string
	key                             bootstrap.KeyOptions
	privateKeyFile, caFile          string
	given                           func(flag string) bool
}

func (l *gitLogin) bind(fs *pflag.FlagSet) {
	fs.StringVar(&l.url, "url", "", "URL of the repository: https, http or ssh")
	fs.StringVarP(&l.username, "username", "u", "", "user name, for https")
	fs.StringVarP(&l.password, "password", "p", "", "password, for https; or of the private key")
	fs.StringVar(&l.key.Algorithm, "ssh-key-algorithm", bootstrap.ECDSA, "algorithm of a new SSH key: ecdsa, ed25519 or rsa")
	fs.IntVar(&l.key.Bits, "ssh-rsa-bits", 2048, "bits of a new RSA key")
	fs.StringVar(&l.key.Curve, "ssh-ecdsa-curve", "p384", "curve of a new ECDSA key: p256, p384 or p521")
	fs.StringVar(&l.privateKeyFile, "private-key-file", "", "file of a private SSH key to use instead of a new one")
	fs.StringVar(&l.caFile, "ca-file", "", "file of the authority that has signed the certificate of the host")
	l.given = fs.Changed
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
func (l *gitLogin) live(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	c, err := l.Client()
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	err = c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return secret.Data, err
}

// data returns what the Secret is to have, where have is what it has; nil if that is good as
// it is.
func (l *gitLogin) data(ctx context.Context, have map[string][]byte) (map[string][]byte, error) {
	in := bootstrap.Login{SSH: l.overSSH()}
	var err error
	if in.SSH {
		if l.given("ssh-key-algorithm") || l.given("ssh-rsa-bits") || l.given("ssh-ecdsa-curve") {
			in.Key = l.key
		}
		if l.privateKeyFile != "" {
			if in.Identity, err = readFile("--private-key-file", l.privateKeyFile); err != nil {
				return nil, err
			}
			in.Passphrase = creds.Hide(l.password)
		}
		return in.Secret(ctx, have, l.scan)
	}
	if l.caFile != "" {
		if in.CA, err = readFile("--ca-file", l.caFile); err != nil {
			return nil, err
		}
	}
	switch {
	case l.bearer != "":
		in.Bearer = creds.Hide(l.bearer)
	case l.username == "" && l.password == "" && in.CA != nil:
		return map[string][]byte{"ca.crt": in.CA}, nil
	case l.username == "":
		return nil, errors.New("--username is missing")
	default:
		in.Username = creds.Hide(l.username)
		if in.Password, err = secretFrom(l.Session, l.password, "GIT_PASSWORD", "password"); err != nil {
			return nil, err
		}
	}
	return in.Secret(ctx, have, l.scan)
}

// scan asks the host of the repository for its keys.
func (l *gitLogin) scan(ctx context.Context) ([]byte, error) {
	l.Say("asking the host for its keys")
	return git.NewClient(git.Limits{}).ScanHostKeys(ctx, l.url, creds.Proxy{})
}

func newCreateSecretGit(c *creation) *cobra.Command {
	l := &gitLogin{Session: c.Session}
	cmd := c.command("git", "Create a Secret for a Git repository", `  weir create secret git podinfo-auth --url=ssh://git@example.com/podinfo --ssh-key-algorithm=ed25519
  weir create secret git podinfo-auth --url=https://example.com/podinfo.git --username=ann --password=$PASSWORD --export`,
		func(ctx context.Context, name string) ([]client.Object, error) {
			if err := needed(flagValue{"url", l.url}); err != nil {
				return nil, err
			}
			if err := l.check(); err != nil {
				return nil, err
			}
			data, err := l.data(ctx, nil)
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
	fs.StringVar(&l.bearer, "bearer-token", "", "token, for https")
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
	fs.StringVar(&r.token, "token", "", "what a caller has to know; by default something new")
	fs.StringVar(&r.kind, "type", "", "type of the Receiver")
	fs.StringVar(&r.host, "hostname", "", "host at which the Receiver of the same name is called; the Secret then says the URL")
	fs.StringVar(&r.email, "email-claim", "", "who a caller has to be, for type gcr")
	fs.StringVar(&r.audience, "audience-claim", "", "whom a call has to be meant for, for type gcr")
	return cmd
}

func (r *receiverSecret) build(_ context.Context, name string) ([]client.Object, error) {
	if r.kind != "" {
		if err := oneOf("type", r.kind, receiverTypes...); err != nil {
			return nil, err
		}
	}
	if (r.email != "" || r.audience != "") && r.kind != "gcr" {
		return nil, errors.New("--email-claim and --audience-claim are for --type=gcr")
	}
	token := r.token
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
