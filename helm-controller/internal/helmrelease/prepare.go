package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/charts"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/dependency"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/health"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/tenantaccess"
)

// terminal opens the message about an expression that only a new spec can mend.
const terminal = "Reconciliation failed terminally due to configuration error"

// expressions are those of a spec, compiled. That takes longer than to evaluate them, so
// it is done once for each generation.
type expressions struct {
	generation int64
	health     health.Rules
	ready      dependency.Exprs
	err        error
}

// compileExpressions stalls an object whose expressions mean nothing.
func (r *Reconciler) compileExpressions(_ context.Context, s *scope) error {
	if e := s.memory.expressions; e == nil || e.generation != s.hr.Generation {
		s.memory.expressions = compile(s.hr)
	}
	s.expressions = s.memory.expressions
	if err := s.expressions.err; err != nil {
		return loop.Stall(helmv2.ReasonInvalidCELExpression, fmt.Errorf("%s: %w", terminal, err))
	}
	return nil
}

// compile compiles the expressions of a spec.
func compile(hr *helmv2.HelmRelease) *expressions {
	e := &expressions{generation: hr.Generation}
	if e.health, e.err = health.Compile(hr.Spec.HealthCheckExprs); e.err != nil {
		return e
	}
	e.ready, e.err = dependency.Compile(hr.Spec.DependsOn)
	return e
}

// gate returns what has HelmReleases wait for each other.
func (r *Reconciler) gate(d *daemon.Daemon) *dependency.Gate[*helmv2.HelmRelease] {
	opts := dependency.Options[*helmv2.HelmRelease]{
		Of:       func(hr *helmv2.HelmRelease) []meta.DependencyReference { return hr.Spec.DependsOn },
		List:     &helmv2.HelmReleaseList{},
		Retry:    r.opts.RequeueDependency,
		Additive: r.opts.AdditiveReadyExpr,
	}
	if d.Selective() {
		opts.Live = d.Live()
	}
	return dependency.New(d.Client(), opts)
}

// awaitDependencies ends the run while a dependency is not ready.
func (r *Reconciler) awaitDependencies(ctx context.Context, s *scope) error {
	return r.dependencies.Await(ctx, s.hr, s.expressions.ready, nil)
}

// composeValues puts together the values of the spec, and those that it names.
func (r *Reconciler) composeValues(ctx context.Context, s *scope) error {
	read := &witness{Reader: r.configs(s.hr)}
	composed, err := values.Compose(ctx, values.Spec{Namespace: s.hr.Namespace, From: s.hr.Spec.ValuesFrom, Inline: s.hr.Spec.Values}, read)
	if err != nil {
		return loop.Fail(helmv2.ReasonValuesError, err)
	}
	s.values, s.sensitive, s.config = composed, read.sensitive, digestOf(s.hr, composed)
	return nil
}

// recallValues puts together as much of the values as there still is, so that it is known what
// must not be shown of a release that is to go.
func (r *Reconciler) recallValues(ctx context.Context, s *scope) {
	from := slices.Clone(s.hr.Spec.ValuesFrom)
	for i := range from {
		from[i].Optional = true
	}
	read := &witness{Reader: r.configs(s.hr)}
	composed, err := values.Compose(ctx, values.Spec{Namespace: s.hr.Namespace, From: from, Inline: s.hr.Spec.Values}, read)
	if s.sensitive = read.sensitive; err == nil { // else no value of the release counts as known
		s.values = composed
	}
}

// digestOf identifies values. Those that the newest release was made of keep the digest that
// the history has, which may be by another algorithm where Flux has made it.
func digestOf(hr *helmv2.HelmRelease, vals map[string]any) string {
	if last := hr.Status.History.Latest(); last != nil && values.Matches(last.ConfigDigest, vals) {
		return last.ConfigDigest
	}
	return values.Digest(digest.Canonical, vals)
}

// witness is a reader that knows what it has read of Secrets.
type witness struct {
	client.Reader
	sensitive []string
}

// Get implements client.Reader.
func (w *witness) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	err := w.Reader.Get(ctx, key, obj, opts...)
	if secret, ok := obj.(*corev1.Secret); ok && err == nil {
		for _, data := range secret.Data {
			w.sensitive = append(w.sensitive, action.SensitiveText(string(data))...)
		}
	}
	return err
}

// chartFacts is what is known of a chart without having it at hand.
type chartFacts struct {
	artifact   string // identifies the artifact, and how the version is made
	name       string
	version    string
	appVersion string
}

// readChart finds out which chart and version the artifact is. It is fetched and read if
// that is not known yet.
func (r *Reconciler) readChart(ctx context.Context, s *scope) error {
	of := s.artifact.Digest + " " + s.artifact.Revision
	if s.memory.chart.artifact == of {
		s.chart = s.memory.chart
		return nil
	}
	got, err := r.fetchChart(ctx, s)
	if err != nil {
		return err
	}
	defer got.Release()
	pinned := got.Helm()
	if err := r.pin(s, pinned); err != nil {
		return loop.Fail(helmv2.ReasonChartMutateError, err)
	}
	s.memory.chart = chartFacts{artifact: of, name: got.Name(), version: pinned.Metadata.Version, appVersion: got.AppVersion()}
	s.chart = s.memory.chart
	return nil
}

// fetchChart returns the chart, which the caller must Release. An artifact that is not
// there was replaced meanwhile.
func (r *Reconciler) fetchChart(ctx context.Context, s *scope) (*charts.Chart, error) {
	got, err := r.charts.Get(ctx, s.artifact.URL, s.artifact.Digest)
	switch {
	case errors.Is(err, charts.ErrNotFound):
		return nil, loop.Wait(helmv2.ReasonArtifactFailed, r.opts.RequeueDependency, "Source artifact not found, retrying in %s", r.opts.RequeueDependency)
	case err != nil:
		return nil, loop.Fail(helmv2.ReasonArtifactFailed, fmt.Errorf("could not load chart: %w", err))
	}
	return got, nil
}

// pin gives a chart the version that it is released as: that of an OCI artifact is to be
// the one of its tag, and tells the digest.
func (r *Reconciler) pin(s *scope, c *chart.Chart) error {
	if kindOf(s.source) != sourcev1.OCIRepositoryKind {
		return nil
	}
	tag, digest := ociRevision(s.artifact.Revision)
	return charts.Pin(c, tag, digest, !r.opts.PlainVersions)
}

// ociRevision returns what the revision of an OCI artifact consists of. In a tag, there is
// an underscore for each plus of a version.
func ociRevision(revision string) (tag, digest string) {
	if tag, digest, ok := strings.Cut(revision, "@"); ok {
		return strings.ReplaceAll(tag, "_", "+"), digest
	}
	return "", revision
}

// artifactRevision is that of the artifact of the chart; "" where there is none, as for a
// HelmRelease that goes.
func (s *scope) artifactRevision() string {
	if s.artifact == nil {
		return ""
	}
	return s.artifact.Revision
}

// ociDigest is the digest of the OCI artifact that the chart comes from; "" if it comes
// from none.
func (s *scope) ociDigest() string {
	if s.source == nil || kindOf(s.source) != sourcev1.OCIRepositoryKind {
		return ""
	}
	_, digest := ociRevision(s.artifact.Revision)
	return digest
}

// enterPlace finds the cluster of the release, and as whom it is worked on.
func (r *Reconciler) enterPlace(ctx context.Context, s *scope) error {
	before := r.clusters.At(s.owner)
	at, err := r.access.Enter(ctx, r.entering(s.hr))
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(helmv2.ReasonFeatureGateDisabled, err)
	case err != nil:
		return loop.Fail(unreachable(err), err)
	}
	if before != nil && before.Drift != at.Drift {
		before.Drift.ForgetAll(s.owner)
	}
	s.at = at
	return nil
}

// unreachable is the reason for not getting to a cluster.
func unreachable(err error) string {
	if errors.Is(err, tenant.ErrPlace) {
		return helmv2.ReasonResourceManagerError
	}
	return helmv2.ReasonRESTClientError
}

// entering is a HelmRelease as one that gets in to its cluster.
func (r *Reconciler) entering(hr *helmv2.HelmRelease) tenantaccess.Object {
	return tenantaccess.Object{
		NamespacedName: client.ObjectKeyFromObject(hr), ServiceAccount: hr.Spec.ServiceAccountName,
		KubeConfig: hr.Spec.KubeConfig, Configs: r.configs(hr),
	}
}

// configs returns what reads the Secrets, ConfigMaps and ServiceAccounts of a HelmRelease:
// once, and again only if they have changed, which asks for a run.
func (r *Reconciler) configs(hr *helmv2.HelmRelease) client.Reader {
	if r.opts.Configs == nil {
		return r.client
	}
	return r.opts.Configs.For(userOf(keyOf(hr)), loop.Awaited(hr))
}

func userOf(owner types.NamespacedName) followed.User {
	return followed.User{Kind: helmv2.HelmReleaseKind, NamespacedName: owner}
}
