package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// manifestsFlag is one of flux, for those who develop that.
const manifestsFlag = "manifests"

// Variables of the environment that have what others can see if it is a flag.
const (
	passwordVariable   = "GIT_PASSWORD"
	gpgPassVariable    = "GPG_PASSPHRASE"
	sshSigningVariable = "SSH_SIGNING_KEY_PASSWORD"
)

// bootstrapper has the flags that all hosts have.
type bootstrapper struct {
	*session.Session
	keyFlags
	flags installation.Flags

	branch, path, secret, sshHost string
	interval                      time.Duration
	tokenAuth, force              bool
	caFile                        string
	commit                        bootstrap.Commit
	gpgKeyRing, gpgKeyID, gpgPass string
	sshSigningKey, sshSigningPass string
	recurse                       bool
	sparse                        []string
	pull                          bool
	pullBranch                    string
	dryRun, export                bool
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
	b.keyFlags.bind(fs)
	fs.StringVar(&b.sshHost, "ssh-hostname", "", "Host and port of the repository for SSH, if they are others than for https")
	fs.StringVar(&b.caFile, "ca-file", "", "File of the authority that has signed the certificate of the host")
	fs.StringVar(&b.commit.Name, "author-name", "Flux", "Name of who commits")
	fs.StringVar(&b.commit.Email, "author-email", "", "Address of who commits")
	fs.StringVar(&b.commit.Appendix, "commit-message-appendix", "", "Text that messages of commits end with, such as [ci skip]")
	fs.StringVar(&b.gpgKeyRing, "gpg-key-ring", "", "File of OpenPGP keys to sign commits with")
	fs.StringVar(&b.gpgKeyID, "gpg-key-id", "", "Which of them; by default the first")
	fs.StringVar(&b.gpgPass, "gpg-passphrase", "", "Passphrase of that key; better in the variable "+gpgPassVariable+", or - to read it")
	fs.StringVar(&b.sshSigningKey, "ssh-signing-key-file", "", "File of an SSH key to sign commits with")
	fs.StringVar(&b.sshSigningPass, "ssh-signing-key-password", "", "Password of that key; better in the variable "+sshSigningVariable+", or - to read it")
	fs.BoolVar(&b.recurse, "recurse-submodules", false, "Have the cluster fetch submodules")
	fs.StringSliceVar(&b.sparse, "sparse-checkout", nil, "Folders of the repository that the cluster reads; by default all")
	fs.BoolVar(&b.force, "force", false, "Insist where the command refuses, and says that it can be insisted on")
	fs.BoolVar(&b.pull, "pull-request", false, "Push a branch to be merged by people, where nobody may push to --branch")
	fs.StringVar(&b.pullBranch, "pull-request-branch", "", "Name of that branch; by default weir-bootstrap-<namespace>")
	fs.BoolVar(&b.dryRun, "dry-run", false, "Tell what would be done; nothing is changed")
	fs.BoolVar(&b.export, "export", false, "Print the files as they would be; nothing is changed")
	fs.String(manifestsFlag, "", "Folder of manifests to install")
	_ = fs.MarkHidden(manifestsFlag) // there is such a flag
}

// login is how one gets in to a repository.
type login struct {
	url     string // of the repository, as this command reaches it
	git     creds.Git
	cluster string // URL of the repository, as the cluster reaches it
	how     bootstrap.Login
	trusted []byte // lines of known_hosts; nil: those of the user
	host    *bootstrap.Host
	ask     bool // whether people can be asked
}

// run bootstraps the cluster with a login.
func (b *bootstrapper) run(ctx context.Context, in login) error {
	run, err := b.prepare(ctx, in)
	if err != nil {
		return err
	}
	if run.Dir, err = os.MkdirTemp("", "weir-bootstrap-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(run.Dir) }() // it is a cache in a folder for such
	accepted := map[bootstrap.Reason]bool{}
	run.Options.Accepted = func(r bootstrap.Reason) bool { return accepted[r] || b.force && r.Forcible() }
	result, err := b.settle(ctx, run.Run, in.ask && !run.DryRun, accepted)
	switch {
	case err != nil:
		return session.Hint(session.Explain(withNext(err)), "run the same command again once that is mended; what is wrong in the cluster: weir check")
	case run.DryRun:
		b.Done("nothing was changed")
	case result.PullRequest != "":
		b.Done("merge %s; then run the same command again, unless the cluster runs from the repository already", result.PullRequest)
	default:
		b.Done("the cluster runs from %s", result.Revision)
	}
	return nil
}

// settle runs until there is nothing more that people could be asked. Each run begins anew
// and finds what is done, and has the whole time: that in which people think does not count.
func (b *bootstrapper) settle(ctx context.Context, run func(context.Context) (bootstrap.Result, error), ask bool, accepted map[bootstrap.Reason]bool) (bootstrap.Result, error) {
	questions := map[bootstrap.Reason]string{
		bootstrap.ManagedByOther: "Take it over?",
		bootstrap.KeyUnknown:     "Has this key been given access to the repository?",
	}
	for {
		result, err := b.once(ctx, run)
		var refused *bootstrap.Refusal
		if !ask || !errors.As(err, &refused) || questions[refused.Reason] == "" {
			return result, err
		}
		b.Warn("%s", refused.Why)
		switch no := b.Confirm(ctx, questions[refused.Reason], refused.Next); {
		case errors.Is(no, session.ErrDeclined):
			return result, err
		case no != nil:
			return result, no
		}
		accepted[refused.Reason] = refused.Reason.Forcible()
	}
}

// once runs once, as long as a call may take.
func (b *bootstrapper) once(ctx context.Context, run func(context.Context) (bootstrap.Result, error)) (bootstrap.Result, error) {
	ctx, cancel := b.Context(ctx)
	defer cancel()
	return run(ctx)
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
	if b.given(manifestsFlag) {
		return nil, session.Hint(errors.New("--manifests: this command installs its own manifests, and those of no other folder"),
			"patch them in the kustomization.yaml of the installation, in Git")
	}
	if err := b.readSecrets(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.Context(ctx)
	defer cancel()
	options, err := b.options(ctx, in)
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
	if in.trusted == nil {
		in.trusted = knownHosts(b.Session)
	}
	run := &bootstrap.Bootstrap{
		Options: options, Config: cfg, Client: c, Discovery: d, Git: in.git, GitURL: in.url, Login: in.how, Host: in.host,
		Trusted: in.trusted, PullSecret: b.flags.PullSecret, Render: install.Render, DryRun: b.dryRun || b.export, Tell: b.Session, Now: time.Now,
	}
	if b.export {
		run.Export = b.Out
	}
	return run, nil
}

// options makes options of the flags.
func (b *bootstrapper) options(ctx context.Context, in login) (bootstrap.Options, error) {
	state, err := look(ctx, b.Session)
	if err != nil {
		return bootstrap.Options{}, err
	}
	o := bootstrap.Options{
		URL: in.cluster, Branch: b.branch, PathGiven: b.given("path"), Secret: b.secret, Interval: b.interval,
		Said: b.flags.Said, RecurseSubmodules: b.recurse, SparseCheckout: b.sparse, Commit: b.commit,
	}
	o.Install, err = b.flags.Options(b.Namespace(), state.Installed())
	if err != nil && !errors.Is(err, install.ErrNoRegistry) { // which the repository may know
		return o, err
	}
	if o.Path, err = bootstrap.CleanPath(b.path); err != nil {
		return o, err
	}
	if o.Secret == "" {
		o.Secret = o.Install.Namespace
	}
	if b.pull || b.pullBranch != "" {
		if o.PullRequest = b.pullBranch; o.PullRequest == "" {
			o.PullRequest = "weir-bootstrap-" + o.Install.Namespace
		}
	}
	if o.Commit.Signer, err = b.signer(); err != nil {
		return o, err
	}
	return o, nil
}

// readSecrets has what is not in the arguments be where it would be if it were. What is piped
// in has a line for each flag that is "-", in this order, after the password.
func (b *bootstrapper) readSecrets(ctx context.Context) error {
	if err := b.flags.ReadCredentials(ctx, b.Given); err != nil {
		return err
	}
	for _, secret := range []struct {
		needed         bool
		flag           *string
		variable, what string
	}{
		{b.gpgKeyRing != "", &b.gpgPass, gpgPassVariable, "passphrase of the OpenPGP key"},
		{b.sshSigningKey != "", &b.sshSigningPass, sshSigningVariable, "password of the SSH key that signs"},
	} {
		if !secret.needed {
			continue
		}
		given, err := b.Given(ctx, *secret.flag, secret.variable, secret.what)
		if err != nil {
			return err
		}
		*secret.flag = given.Reveal()
	}
	return nil
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
		s, err := signature.NewOpenPGPRingSigner(key, b.gpgKeyID, []byte(b.gpgPass))
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
