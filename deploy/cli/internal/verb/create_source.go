package verb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
)

// localRef refers to an object of a name; nil if there is none.
func localRef(name string) *meta.LocalObjectReference {
	if name == "" {
		return nil
	}
	return &meta.LocalObjectReference{Name: name}
}

// ignoreRules is what a list of --ignore-paths is in a spec; nil if there is none.
func ignoreRules(paths []string) *string {
	if len(paths) == 0 {
		return nil
	}
	text := strings.Join(paths, "\n")
	return &text
}

// createGit makes a GitRepository.
type createGit struct {
	*creation
	login                            gitLogin
	ref                              sourcev1.GitRepositoryRef
	secret, proxy, provider, account string
	silent, recurse                  bool
	ignore, sparse                   []string
}

func newCreateGit(c *creation) *cobra.Command {
	g := &createGit{creation: c, login: gitLogin{Session: c.Session}}
	cmd := c.command("git", "Create a GitRepository", `  weir create source git podinfo --url=https://example.com/podinfo.git --branch=main
  weir create source git podinfo --url=ssh://git@example.com/podinfo --tag-semver=">=1.0.0" --secret-ref=podinfo-auth --export`, g.build)
	fs := cmd.Flags()
	g.login.bind(fs)
	fs.StringVar(&g.ref.Branch, "branch", "", "branch to follow")
	fs.StringVar(&g.ref.Tag, "tag", "", "tag to follow")
	fs.StringVar(&g.ref.SemVer, "tag-semver", "", "range of versions, of which the highest tag is followed")
	fs.StringVar(&g.ref.Name, "ref-name", "", "full name of the reference to follow, such as refs/pull/42/head")
	fs.StringVar(&g.ref.Commit, "commit", "", "hash of the commit")
	fs.StringVar(&g.secret, "secret-ref", "", "Secret that there is, with which the controller gets in")
	fs.StringVar(&g.proxy, "proxy-secret-ref", "", "Secret with the address of a proxy")
	fs.StringVar(&g.provider, "provider", "", "how the controller logs in: generic, aws, azure or github")
	fs.StringVar(&g.account, "service-account", "", "ServiceAccount whose cloud identity is used, for aws and azure")
	fs.BoolVarP(&g.silent, "silent", "s", false, "ask nothing")
	fs.BoolVar(&g.recurse, "recurse-submodules", false, "fetch submodules")
	fs.StringSliceVar(&g.ignore, "ignore-paths", nil, "what to leave out, in the format of .gitignore")
	fs.StringSliceVar(&g.sparse, "sparse-checkout-paths", nil, "folders to publish; by default all")
	return cmd
}

func (g *createGit) build(ctx context.Context, name string) ([]client.Object, error) {
	m, err := g.metadata(name)
	if err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	repo := &sourcev1.GitRepository{ObjectMeta: m, Spec: sourcev1.GitRepositorySpec{
		URL: g.login.url, Reference: &g.ref, Interval: g.every(), SecretRef: localRef(g.secret), ProxySecretRef: localRef(g.proxy),
		Provider: sourcev1.GitProvider(g.provider), ServiceAccountName: g.account, Ignore: ignoreRules(g.ignore),
		SparseCheckout: g.sparse, RecurseSubmodules: g.recurse,
	}}
	if g.secret != "" || !g.login.wanted() {
		return []client.Object{repo}, nil
	}
	if g.export {
		return nil, session.Hint(errors.New("what lets the controller in does not belong into Git as it is"),
			"make a Secret of it, and name that by --secret-ref: weir create secret git %s --url=%s", name, g.login.url)
	}
	secret, err := g.letIn(ctx, name)
	if err != nil {
		return nil, err
	}
	repo.Spec.SecretRef = localRef(name)
	if secret == nil {
		return []client.Object{repo}, nil
	}
	return []client.Object{secret, repo}, nil
}

// check refuses flags that do not go together.
func (g *createGit) check() error {
	if err := needed(flagValue{"url", g.login.url}); err != nil {
		return err
	}
	if g.ref == (sourcev1.GitRepositoryRef{}) {
		return session.Hint(errors.New("nothing says what of the repository to follow"), "use one of --branch, --tag, --tag-semver, --ref-name and --commit")
	}
	if g.provider != "" {
		if err := oneOf("provider", g.provider, "generic", "aws", "azure", "github"); err != nil {
			return err
		}
	}
	if g.secret != "" && (g.login.username != "" || g.login.password != "" || g.login.caFile != "" || g.login.privateKeyFile != "") {
		return errors.New("--secret-ref names a Secret that there is: leave out what another would be made of")
	}
	return g.login.check()
}

// letIn returns the Secret by which the controller gets in, nil if the one that there is
// serves. Somebody has to give a new key access first.
func (g *createGit) letIn(ctx context.Context, name string) (client.Object, error) {
	key := client.ObjectKey{Namespace: g.Namespace(), Name: name}
	have, err := g.login.live(ctx, key)
	if err != nil {
		return nil, err
	}
	data, err := g.login.data(ctx, key, have)
	if err != nil || data == nil {
		return nil, err
	}
	if public := string(data["identity.pub"]); public != "" {
		g.Say("public key, which the repository has to give access:\n%s", strings.TrimSpace(public))
		if !g.silent {
			if err := g.Confirm(ctx, "Has this key been given access to the repository?", "without a question: --silent"); err != nil {
				return nil, err
			}
		}
	}
	return g.secretOf(name, data)
}

// createOCI makes an OCIRepository.
type createOCI struct {
	*creation
	spec                          sourcev1.OCIRepositorySpec
	ref                           sourcev1.OCIRepositoryRef
	secret, cert, proxy, provider string
	verify                        verification
	ignore                        []string
}

func newCreateOCI(c *creation) *cobra.Command {
	o := &createOCI{creation: c}
	cmd := c.command("oci", "Create an OCIRepository", `  weir create source oci podinfo --url=oci://registry.example.com/manifests/podinfo --tag=latest --interval=10m`, o.build)
	fs := cmd.Flags()
	fs.StringVar(&o.spec.URL, "url", "", "URL of the repository, which begins with oci://")
	fs.StringVar(&o.ref.Tag, "tag", "", "tag to follow")
	fs.StringVar(&o.ref.SemVer, "tag-semver", "", "range of versions, of which the highest tag is followed")
	fs.StringVar(&o.ref.Digest, "digest", "", "digest of the artifact")
	fs.StringVar(&o.secret, "secret-ref", "", "Secret for the registry")
	fs.StringVar(&o.cert, "cert-ref", "", "Secret with certificates")
	fs.StringVar(&o.proxy, "proxy-secret-ref", "", "Secret with the address of a proxy")
	fs.StringVar(&o.spec.ServiceAccountName, "service-account", "", "ServiceAccount whose image pull secrets, or cloud identity, are used")
	fs.StringVar(&o.provider, "provider", "generic", "how the controller logs in: generic, aws, azure or gcp")
	fs.BoolVar(&o.spec.Insecure, "insecure", false, "talk to the registry by http")
	fs.StringSliceVar(&o.ignore, "ignore-paths", nil, "what to leave out, in the format of .gitignore")
	o.verify.bind(fs)
	return cmd
}

func (o *createOCI) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := o.metadata(name)
	if err != nil {
		return nil, err
	}
	switch {
	case !strings.HasPrefix(o.spec.URL, sourcev1.OCIRepositoryPrefix):
		return nil, fmt.Errorf("--url is %q: it has to begin with %s", o.spec.URL, sourcev1.OCIRepositoryPrefix)
	case o.ref == (sourcev1.OCIRepositoryRef{}):
		return nil, session.Hint(errors.New("nothing says what of the repository to follow"), "use one of --tag, --tag-semver and --digest")
	}
	if err := oneOf("provider", o.provider, "generic", "aws", "azure", "gcp"); err != nil {
		return nil, err
	}
	spec := o.spec
	spec.Reference, spec.Interval, spec.Ignore = &o.ref, o.every(), ignoreRules(o.ignore)
	spec.SecretRef, spec.CertSecretRef, spec.ProxySecretRef = localRef(o.secret), localRef(o.cert), localRef(o.proxy)
	if o.provider != "generic" {
		spec.Provider = sourcev1.OCIProvider(o.provider)
	}
	if err := o.verify.check("cosign", "notation"); err != nil {
		return nil, err
	}
	if o.verify.provider != "" {
		spec.Verify = &sourcev1.OCIRepositoryVerification{
			Provider: sourcev1.OCIVerificationProvider(o.verify.provider), SecretRef: localRef(o.verify.secret), MatchOIDCIdentity: o.verify.identities(),
		}
	}
	return []client.Object{&sourcev1.OCIRepository{ObjectMeta: m, Spec: spec}}, nil
}
