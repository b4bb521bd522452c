package verb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
)

// verification says by whom an artifact has to be signed.
type verification struct{ provider, secret, issuer, subject string }

func (v *verification) bind(fs *pflag.FlagSet) {
	fs.StringVar(&v.provider, "verify-provider", "", "how signatures are verified")
	fs.StringVar(&v.secret, "verify-secret-ref", "", "Secret with what is trusted")
	fs.StringVar(&v.issuer, "verify-issuer", "", "expression for the issuer of the identity that has signed")
	fs.StringVar(&v.subject, "verify-subject", "", "expression for the subject of the identity that has signed")
}

// check refuses what does not go together.
func (v *verification) check(known ...string) error {
	switch {
	case v.provider == "" && (v.secret != "" || v.issuer != "" || v.subject != ""):
		return errors.New("--verify-provider is missing")
	case v.provider == "":
		return nil
	case (v.issuer == "") != (v.subject == ""):
		return errors.New("--verify-issuer and --verify-subject belong together")
	case v.provider == "notation" && v.secret == "":
		return errors.New("--verify-secret-ref is missing")
	}
	return oneOf("verify-provider", v.provider, known...)
}

func (v *verification) identities() []sourcev1.OIDCIdentityMatch {
	if v.issuer == "" {
		return nil
	}
	return []sourcev1.OIDCIdentityMatch{{Issuer: v.issuer, Subject: v.subject}}
}

// createHelm makes a HelmRepository.
type createHelm struct {
	*creation
	url, secret, provider string
	basic                 basicLogin
	tls                   tlsFiles
	passCredentials       bool
}

func newCreateHelm(c *creation) *cobra.Command {
	r := &createHelm{creation: c}
	cmd := c.command("helm", "Create a HelmRepository", `  weir create source helm podinfo --url=https://charts.example.com --interval=10m
  weir create source helm podinfo --url=oci://registry.example.com/charts --secret-ref=registry-auth`, r.build)
	fs := cmd.Flags()
	fs.StringVar(&r.url, "url", "", "URL of the repository: https, http or oci")
	r.basic.bind(fs, helmVariable)
	fs.StringVar(&r.secret, "secret-ref", "", "Secret that there is, with which the controller gets in")
	fs.StringVar(&r.provider, "oci-provider", "", "how the controller logs in to a registry: generic, aws, azure or gcp")
	fs.BoolVar(&r.passCredentials, "pass-credentials", false, "send the credentials to other hosts, too, where the index has charts there")
	r.tls.bindOld(fs)
	return cmd
}

func (r *createHelm) build(ctx context.Context, name string) ([]client.Object, error) {
	m, err := r.metadata(name)
	if err != nil {
		return nil, err
	}
	repo := &sourcev1.HelmRepository{ObjectMeta: m, Spec: sourcev1.HelmRepositorySpec{
		URL: r.url, Interval: r.every(), SecretRef: localRef(r.secret), PassCredentials: r.passCredentials,
	}}
	scheme, _, _ := strings.Cut(r.url, "://")
	if err := oneOf("url", scheme, "https", "http", "oci"); err != nil {
		return nil, err
	}
	if scheme == "oci" {
		repo.Spec.Type = sourcev1.HelmRepositoryTypeOCI
	}
	if r.provider != "" {
		if err := oneOf("oci-provider", r.provider, "generic", "aws", "azure", "gcp"); err != nil {
			return nil, err
		}
		repo.Spec.Provider = sourcev1.OCIProvider(r.provider)
	}
	return r.letIn(ctx, repo)
}

// letIn adds a Secret to a repository, if the flags have what lets in.
func (r *createHelm) letIn(ctx context.Context, repo *sourcev1.HelmRepository) ([]client.Object, error) {
	switch {
	case r.basic.username == "" && r.basic.password == "" && r.tls == tlsFiles{}:
		return []client.Object{repo}, nil
	case r.secret != "":
		return nil, errors.New("--secret-ref names a Secret that there is: leave out what another would be made of")
	case r.export:
		return nil, session.Hint(errors.New("what lets the controller in does not belong into Git as it is"),
			"make a Secret of it, and name that by --secret-ref: weir create secret helm %s", repo.Name)
	}
	files, err := r.tls.data()
	if err != nil {
		return nil, err
	}
	login, err := r.basic.data(ctx, r.Session)
	if err != nil {
		return nil, err
	}
	objs := []client.Object{repo}
	for _, s := range []struct {
		name string
		data map[string][]byte
		set  func()
	}{
		{repo.Name, login, func() { repo.Spec.SecretRef = localRef(repo.Name) }},
		{repo.Name + "-tls", files, func() { repo.Spec.CertSecretRef = localRef(repo.Name + "-tls") }},
	} {
		if len(s.data) == 0 {
			continue
		}
		secret, err := r.secretOf(s.name, s.data)
		if err != nil {
			return nil, err
		}
		s.set()
		objs = append([]client.Object{secret}, objs...)
	}
	return objs, nil
}

// createChart makes a HelmChart.
type createChart struct {
	*creation
	source, chart, version, strategy string
	verify                           verification
}

func newCreateChart(c *creation) *cobra.Command {
	h := &createChart{creation: c}
	cmd := c.command("chart", "Create a HelmChart", `  weir create source chart podinfo --source=HelmRepository/podinfo --chart=podinfo --chart-version=6.x`, h.build)
	fs := cmd.Flags()
	fs.StringVar(&h.source, "source", "", "where the chart is: KIND/NAME of a HelmRepository, GitRepository or Bucket")
	fs.StringVar(&h.chart, "chart", "", "name of the chart, or its folder in the source")
	fs.StringVar(&h.version, "chart-version", "", "range of versions of the chart")
	fs.StringVar(&h.strategy, "reconcile-strategy", "ChartVersion", "when there is a new chart: ChartVersion or Revision")
	h.verify.bind(fs)
	return cmd
}

func (h *createChart) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := h.metadata(name)
	if err != nil {
		return nil, err
	}
	if err := needed(flagValue{"source", h.source}, flagValue{"chart", h.chart}); err != nil {
		return nil, err
	}
	ref, err := referred("source", h.source, sourcev1.HelmRepositoryKind, sourcev1.GitRepositoryKind, sourcev1.BucketKind)
	switch {
	case err != nil:
		return nil, err
	case ref.Namespace != "" && ref.Namespace != m.Namespace:
		return nil, fmt.Errorf("--source is in namespace %s, and a HelmChart reads from its own, which is %s", ref.Namespace, m.Namespace)
	}
	if err := oneOf("reconcile-strategy", h.strategy, "ChartVersion", "Revision"); err != nil {
		return nil, err
	}
	if err := h.verify.check("cosign"); err != nil {
		return nil, err
	}
	spec := sourcev1.HelmChartSpec{
		Chart: h.chart, Version: h.version, Interval: h.every(), ReconcileStrategy: sourcev1.ReconcileStrategy(h.strategy),
		SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: ref.Kind, Name: ref.Name},
	}
	if h.verify.provider != "" {
		spec.Verify = &sourcev1.HelmChartVerification{
			Provider: sourcev1.OCIVerificationProvider(h.verify.provider), SecretRef: localRef(h.verify.secret), MatchOIDCIdentity: h.verify.identities(),
		}
	}
	return []client.Object{&sourcev1.HelmChart{ObjectMeta: m, Spec: spec}}, nil
}
