package verb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	imagename "github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
)

func newCreateImageRepository(c *creation) *cobra.Command {
	var image, secret, cert string
	var timeout time.Duration
	cmd := c.command("repository", "Create an ImageRepository", `  weir create image repository podinfo --image=registry.example.com/podinfo --interval=10m`,
		func(_ context.Context, objName string) ([]client.Object, error) {
			m, err := c.metadata(objName)
			if err != nil {
				return nil, err
			}
			if err := needed(flagValue{"image", image}); err != nil {
				return nil, err
			}
			if _, err := imagename.NewRepository(image); err != nil {
				return nil, session.Hint(errors.New("--image is not the name of an image"), "it has no tag and no scheme: registry.example.com/podinfo")
			}
			repo := &imagev1.ImageRepository{ObjectMeta: m, Spec: imagev1.ImageRepositorySpec{
				Image: image, Interval: c.every(), SecretRef: localRef(secret), CertSecretRef: localRef(cert),
			}}
			if timeout > 0 {
				repo.Spec.Timeout = &metav1.Duration{Duration: timeout}
			}
			return []client.Object{repo}, nil
		})
	cmd.Aliases = []string{"repo"}
	fs := cmd.Flags()
	fs.StringVar(&image, "image", "", "name of the image, without a tag")
	fs.StringVar(&secret, "secret-ref", "", "Secret for the registry")
	fs.StringVar(&cert, "cert-ref", "", "Secret with certificates")
	fs.DurationVar(&timeout, "scan-timeout", 0, "how long a look at the registry may take")
	return cmd
}

// createImagePolicy makes an ImagePolicy.
type createImagePolicy struct {
	*creation
	image, semver, alpha, numeric, filter, extract, reflect string
	interval                                                time.Duration
}

func newCreateImagePolicy(c *creation) *cobra.Command {
	p := &createImagePolicy{creation: c}
	cmd := c.command("policy", "Create an ImagePolicy", `  weir create image policy podinfo --image-ref=podinfo --select-semver=">=1.0.0"
  weir create image policy podinfo --image-ref=podinfo --select-numeric=asc --filter-regex='^main-(?P<ts>[0-9]+)$' --filter-extract='$ts'`, p.build)
	fs := cmd.Flags()
	fs.StringVar(&p.image, "image-ref", "", "name of the ImageRepository")
	fs.StringVar(&p.semver, "select-semver", "", "range of versions, of which the highest is chosen")
	fs.StringVar(&p.alpha, "select-alpha", "", "order of the alphabet, of which the last is chosen: asc or desc")
	fs.StringVar(&p.numeric, "select-numeric", "", "order of numbers, of which the last is chosen: asc or desc")
	fs.StringVar(&p.filter, "filter-regex", "", "expression that tags have to match")
	fs.StringVar(&p.extract, "filter-extract", "", "what of a tag is compared, in terms of --filter-regex")
	fs.StringVar(&p.reflect, "reflect-digest", "", "when to look up the digest: Always, IfNotPresent or Never")
	fs.DurationVar(&p.interval, "interval", 0, "how often to look the digest up, for --reflect-digest=Always")
	return cmd
}

func (p *createImagePolicy) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := p.metadata(name)
	if err != nil {
		return nil, err
	}
	if err := needed(flagValue{"image-ref", p.image}); err != nil {
		return nil, err
	}
	spec := imagev1.ImagePolicySpec{ImageRepositoryRef: meta.NamespacedObjectReference{Name: p.image}}
	if spec.Policy, err = p.choice(); err != nil {
		return nil, err
	}
	switch {
	case p.extract != "" && p.filter == "":
		return nil, errors.New("--filter-extract needs --filter-regex")
	case p.filter != "":
		spec.FilterTags = &imagev1.TagFilter{Pattern: p.filter, Extract: p.extract}
	}
	if p.reflect != "" {
		if err := oneOf("reflect-digest", p.reflect, "Always", "IfNotPresent", "Never"); err != nil {
			return nil, err
		}
		spec.DigestReflectionPolicy = imagev1.ReflectionPolicy(p.reflect)
	}
	if (p.interval > 0) != (p.reflect == "Always") {
		return nil, errors.New("--interval and --reflect-digest=Always belong together")
	}
	if p.interval > 0 {
		spec.Interval = &metav1.Duration{Duration: p.interval}
	}
	return []client.Object{&imagev1.ImagePolicy{ObjectMeta: m, Spec: spec}}, nil
}

// choice says how an image is chosen.
func (p *createImagePolicy) choice() (imagev1.ImagePolicyChoice, error) {
	var out imagev1.ImagePolicyChoice
	chosen := 0
	for _, value := range []string{p.semver, p.alpha, p.numeric} {
		if value != "" {
			chosen++
		}
	}
	if chosen != 1 {
		return out, errors.New("one of --select-semver, --select-alpha and --select-numeric is needed")
	}
	switch {
	case p.semver != "":
		out.SemVer = &imagev1.SemVerPolicy{Range: p.semver}
		return out, nil
	case p.alpha != "":
		out.Alphabetical = &imagev1.AlphabeticalPolicy{Order: imagev1.PolicyOrder(p.alpha)}
		return out, oneOf("select-alpha", p.alpha, "asc", "desc")
	default:
		out.Numerical = &imagev1.NumericalPolicy{Order: imagev1.PolicyOrder(p.numeric)}
		return out, oneOf("select-numeric", p.numeric, "asc", "desc")
	}
}

// createImageUpdate makes an ImageUpdateAutomation.
type createImageUpdate struct {
	*creation
	repo, namespace, path, checkout, push, template, author, email string
}

func newCreateImageUpdate(c *creation) *cobra.Command {
	u := &createImageUpdate{creation: c}
	cmd := c.command("update", "Create an ImageUpdateAutomation", `  weir create image update fleet --git-repo-ref=fleet --git-repo-path=./clusters --checkout-branch=main --author-name=bot --author-email=bot@example.com`, u.build)
	fs := cmd.Flags()
	fs.StringVar(&u.repo, "git-repo-ref", "", "name of the GitRepository")
	fs.StringVar(&u.namespace, "git-repo-namespace", "", "namespace of the GitRepository, if it is another")
	fs.StringVar(&u.path, "git-repo-path", "", "folder of the repository that is changed; by default all")
	fs.StringVar(&u.checkout, "checkout-branch", "", "branch that is changed")
	fs.StringVar(&u.push, "push-branch", "", "branch that commits are pushed to, if it is another")
	fs.StringVar(&u.template, "commit-template", "", "template of the message of commits")
	fs.StringVar(&u.author, "author-name", "", "name of who commits")
	fs.StringVar(&u.email, "author-email", "", "address of who commits")
	return cmd
}

func (u *createImageUpdate) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := u.metadata(name)
	if err != nil {
		return nil, err
	}
	err = needed(flagValue{"git-repo-ref", u.repo}, flagValue{"checkout-branch", u.checkout}, flagValue{"author-name", u.author}, flagValue{"author-email", u.email})
	if err != nil {
		return nil, err
	}
	if !strings.Contains(u.email, "@") {
		return nil, fmt.Errorf("--author-email is %q, which is no address", u.email)
	}
	spec := imagev1.ImageUpdateAutomationSpec{
		SourceRef: imagev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: u.repo, Namespace: u.namespace},
		Interval:  u.every(),
		GitSpec: &imagev1.GitSpec{
			Checkout: &imagev1.GitCheckoutSpec{Reference: sourcev1.GitRepositoryRef{Branch: u.checkout}},
			Commit:   imagev1.CommitSpec{Author: imagev1.CommitUser{Name: u.author, Email: u.email}, MessageTemplate: u.template},
		},
	}
	if u.push != "" {
		spec.GitSpec.Push = &imagev1.PushSpec{Branch: u.push}
	}
	if u.path != "" {
		spec.Update = &imagev1.UpdateStrategy{Strategy: imagev1.UpdateStrategySetters, Path: u.path}
	}
	return []client.Object{&imagev1.ImageUpdateAutomation{ObjectMeta: m, Spec: spec}}, nil
}
