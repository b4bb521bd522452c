package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/git/signature"
)

// maxSecretFile bounds a file with a key or certificate, in bytes.
const maxSecretFile = 1 << 20

// bootstrapper has the flags that all hosts have.
type bootstrapper struct {
	*session.Session
	flags installation.Flags

	branch, path, secret, sshHost string
	interval                      time.Duration
	tokenAuth, force              bool
	key                           bootstrap.KeyOptions
	privateKeyFile, caFile        string
	commit                        bootstrap.Commit
	gpgKeyRing, gpgPass           string
	sshSigningKey, sshSigningPass string
	recurse                       bool
	sparse                        []string
	pull                          bool
	pullBranch                    string
	dryRun, export                bool
	given                         func(flag string) bool
}

func newBootstrap(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Make the cluster run from a Git repository, its controllers included",
		Long: `Bootstrap writes what installs the controllers into a Git repository, brings it into the
cluster, and has the cluster follow the repository from then on. It may be interrupted
anywhere, and run again: it does what is still to be done. A newer version of the command
upgrades the installation in the same way.`,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBootstrapGit(s), newBootstrapGitHub(s), newBootstrapGitLab(s), newBootstrapGitea(s), newBootstrapBitbucket())
	return cmd
}

// newBootstrapBitbucket says what to do in the place of what there is not.
func newBootstrapBitbucket() *cobra.Command {
	return &cobra.Command{
		Use: "bitbucket-server", Hidden: true, DisableFlagParsing: true, Short: "Use bootstrap git",
		RunE: func(*cobra.Command, []string) error {
			return session.Hint(errors.New("the API of Bitbucket Server is not supported"),
				"make an empty repository there, and use: weir bootstrap git --url=https://<host>/scm/<project>/<repository>.git --username=<user> --token-auth")
		},
	}
}

// bind adds the flags that all hosts have.
func (b *bootstrapper) bind(fs *pflag.FlagSet) {
	b.flags.Bind(fs)
	fs.StringVar(&b.branch, "branch", "main", "Branch that the cluster follows")
	fs.StringVar(&b.path, "path", "", "Folder of the cluster in the repository; by default its root")
	fs.StringVar(&b.secret, "secret-name", "", "Secret with which the cluster gets in to the repository; by default named as the namespace")
	fs.DurationVar(&b.interval, "interval", time.Minute, "How often the cluster looks for new commits")
	fs.BoolVar(&b.tokenAuth, "token-auth", false, "Have the cluster use the password or token, and no SSH key")
	fs.StringVar(&b.key.Algorithm, "ssh-key-algorithm", bootstrap.ECDSA, "Algorithm of a new SSH key: ecdsa, ed25519 or rsa")
	fs.IntVar(&b.key.Bits, "ssh-rsa-bits", 2048, "Bits of a new RSA key")
	fs.StringVar(&b.key.Curve, "ssh-ecdsa-curve", "p384", "Curve of a new ECDSA key: p256, p384 or p521")
	fs.StringVar(&b.sshHost, "ssh-hostname", "", "Host and port of the repository for SSH, if they are others than for https")
	fs.StringVar(&b.privateKeyFile, "private-key-file", "", "File of a private SSH key, for the cluster to use")
	fs.StringVar(&b.caFile, "ca-file", "", "File of the authority that has signed the certificate of the host")
	fs.StringVar(&b.commit.Name, "author-name", "Flux", "Name of who commits")
	fs.StringVar(&b.commit.Email, "author-email", "", "Address of who commits")
	fs.StringVar(&b.commit.Appendix, "commit-message-appendix", "", "Text that messages of commits end with, such as [ci skip]")
	fs.StringVar(&b.gpgKeyRing, "gpg-key-ring", "", "File of an OpenPGP key to sign commits with")
	fs.StringVar(&b.gpgPass, "gpg-passphrase", "", "Passphrase of that key")
	fs.StringVar(&b.sshSigningKey, "ssh-signing-key-file", "", "File of an SSH key to sign commits with")
	fs.StringVar(&b.sshSigningPass, "ssh-signing-key-password", "", "Password of that key")
	fs.BoolVar(&b.recurse, "recurse-submodules", false, "Have the cluster fetch submodules")
	fs.StringSliceVar(&b.sparse, "sparse-checkout", nil, "Folders of the repository that the cluster reads; by default all")
	fs.BoolVar(&b.force, "force", false, "Insist where the command refuses, and says that it can be insisted on")
	fs.BoolVar(&b.pull, "pull-request", false, "Push a branch to be merged by people, where nobody may push to --branch")
	fs.StringVar(&b.pullBranch, "pull-request-branch", "", "Name of that branch; by default weir-bootstrap-<namespace>")
	fs.BoolVar(&b.dryRun, "dry-run", false, "Tell what would be done; nothing is changed")
	fs.BoolVar(&b.export, "export", false, "Print the files as they would be; nothing is changed")
	b.given = fs.Changed
}

// login is how one gets in to a repository.
type login struct {
	url     string // of the repository, as this command reaches it
	git     creds.Git
	cluster string // URL of the repository, as the cluster reaches it
	how     bootstrap.Login
	host    *bootstrap.Host
	// provider is that of the GitRepository.
	provider string
	ask      bool // whether people can be asked
}

// run bootstraps the cluster with a login.
func (b *bootstrapper) run(ctx context.Context, in login) error {
	ctx, cancel := b.Context(ctx)
	defer cancel()
	run, err := b.prepare(ctx, in)
	if err != nil {
		return err
	}
	if run.Dir, err = os.MkdirTemp("", "weir-bootstrap-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(run.Dir) }() // it is a cache in a folder for such
	result, err := run.Run(ctx)
	var refused *bootstrap.Refusal
	if errors.As(err, &refused) && refused.Reason == bootstrap.ManagedByOther && in.ask && !b.dryRun {
		b.Warn("%s", refused.Why)
		yes, asked := b.confirm("Take it over?")
		if asked != nil {
			return asked
		}
		if yes {
			run.Options.Accepted = func(r bootstrap.Reason) bool { return r == bootstrap.ManagedByOther || b.force && r.Forcible() }
			result, err = run.Run(ctx)
		}
	}
	switch {
	case err != nil:
		return session.Hint(session.Explain(withNext(err)), "run the same command again once that is mended; what is wrong in the cluster: weir check")
	case b.dryRun || b.export:
		b.Done("nothing was changed")
	case result.PullRequest != "":
		b.Done("merge %s; then run the same command again, unless the cluster runs from the repository already", result.PullRequest)
	default:
		b.Done("the cluster runs from %s", result.Revision)
	}
	return nil
}

// withNext adds to a refusal what to do.
func withNext(err error) error {
	var refused *bootstrap.Refusal
	if errors.As(err, &refused) {
		return session.Hint(err, "%s", refused.Next)
	}
	return err
}

// prepare makes a run of the flags.
func (b *bootstrapper) prepare(ctx context.Context, in login) (*bootstrap.Bootstrap, error) {
	options, pullSecret, err := b.options(ctx, in)
	if err != nil {
		return nil, err
	}
	c, err := b.Client()
	if err != nil {
		return nil, err
	}
	cfg, err := b.Config()
	if err != nil {
		return nil, err
	}
	d, err := b.Discovery()
	if err != nil {
		return nil, err
	}
	run := &bootstrap.Bootstrap{
		Options: options, Config: cfg, Client: c, Discovery: d, Git: in.git, GitURL: in.url, Login: in.how, Host: in.host,
		PullSecret: pullSecret, Render: install.Render, DryRun: b.dryRun || b.export, Tell: b.Session, Now: time.Now,
	}
	if b.export {
		run.Export = b.Out
	}
	if in.ask {
		run.Granted = func(string) (bool, error) {
			return b.confirm("Has this key been given access to the repository?")
		}
	}
	return run, nil
}

// options makes options of the flags.
func (b *bootstrapper) options(ctx context.Context, in login) (bootstrap.Options, *unstructured.Unstructured, error) {
	state, err := look(ctx, b.Session)
	if err != nil {
		return bootstrap.Options{}, nil, err
	}
	o := bootstrap.Options{
		URL: in.cluster, Branch: b.branch, PathGiven: b.given("path"), Secret: b.secret, Interval: b.interval, Provider: in.provider,
		RecurseSubmodules: b.recurse, SparseCheckout: b.sparse, Commit: b.commit,
	}
	o.Install, err = b.flags.Options(b.Namespace(), install.Describe(state.Here()))
	if err != nil && !errors.Is(err, install.ErrNoRegistry) { // which the repository may know
		return o, nil, err
	}
	if o.Path, err = bootstrap.CleanPath(b.path); err != nil {
		return o, nil, err
	}
	if o.Secret == "" {
		o.Secret = o.Install.Namespace
	}
	if b.pull || b.pullBranch != "" {
		if o.PullRequest = b.pullBranch; o.PullRequest == "" {
			o.PullRequest = "weir-bootstrap-" + o.Install.Namespace
		}
	}
	if b.force {
		o.Accepted = bootstrap.Reason.Forcible
	}
	if o.Commit.Signer, err = b.signer(); err != nil {
		return o, nil, err
	}
	secret, err := b.flags.PullSecret(o.Install)
	return o, secret, err
}

// signer returns what signs commits; nil if nothing does.
func (b *bootstrapper) signer() (git.Signer, error) {
	switch {
	case b.gpgKeyRing != "" && b.sshSigningKey != "":
		return nil, errors.New("a commit has one signature: use --gpg-key-ring or --ssh-signing-key-file")
	case b.gpgKeyRing != "":
		key, err := readFile("--gpg-key-ring", b.gpgKeyRing)
		if err != nil {
			return nil, err
		}
		s, err := signature.NewOpenPGPSigner(key, []byte(b.gpgPass))
		if err != nil {
			return nil, fmt.Errorf("--gpg-key-ring: %w", err)
		}
		return s, nil
	case b.sshSigningKey != "":
		key, err := readFile("--ssh-signing-key-file", b.sshSigningKey)
		if err != nil {
			return nil, err
		}
		s, err := signature.NewSSHSigner(key, []byte(b.sshSigningPass))
		if err != nil {
			return nil, fmt.Errorf("--ssh-signing-key-file: %w", err)
		}
		return s, nil
	}
	return nil, nil
}

// sshKey returns how the cluster gets a key.
func (b *bootstrapper) sshKey(passphrase creds.Hidden) (bootstrap.Login, error) {
	l := bootstrap.Login{SSH: true}
	if err := b.key.Validate(); err != nil {
		return l, err
	}
	if b.given("ssh-key-algorithm") || b.given("ssh-rsa-bits") || b.given("ssh-ecdsa-curve") {
		l.Key = b.key
	}
	if b.privateKeyFile == "" {
		return l, nil
	}
	var err error
	l.Identity, err = readFile("--private-key-file", b.privateKeyFile)
	l.Passphrase = passphrase
	return l, err
}

// authority returns the certificates that are trusted beside those of the system.
func (b *bootstrapper) authority() ([]byte, creds.TLS, error) {
	if b.caFile == "" {
		return nil, creds.TLS{}, nil
	}
	ca, err := readFile("--ca-file", b.caFile)
	if err != nil {
		return nil, creds.TLS{}, err
	}
	tls, err := creds.NewTLS(map[string][]byte{"ca.crt": ca}, "--ca-file")
	return ca, tls, err
}

// readFile reads a small file that a flag names.
func readFile(flag, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(data) > maxSecretFile:
		return nil, fmt.Errorf("%s: %q has more than %d bytes", flag, path, maxSecretFile)
	}
	return data, nil
}
