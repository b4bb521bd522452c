package helmchart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/helm/chart"
	"weir.dev/source-controller/internal/helm/index"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/source"
)

// defaultValues is the one values file that is no other than the chart's own.
const defaultValues = "values.yaml"

// chartNames are the names of charts in a repository.
var chartNames = regexp.MustCompile(`^([-a-z0-9]+/?\.?)+$`)

// resolve finds out which chart is meant, and as which version it is to be published.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	var err error
	switch src := s.source.(type) {
	case *sourcev1.HelmRepository:
		if !chartNames.MatchString(s.obj.Spec.Chart) {
			return failed(sourcev1.ReasonInvalidChartReference, fmt.Errorf("invalid chart name '%s': a valid name must be lower case letters and numbers and MAY be separated with dashes (-), slashes (/) or periods (.)", s.obj.Spec.Chart))
		}
		if src.IsOCI() {
			err = r.resolveOCI(ctx, s, src)
		} else {
			err = r.resolveHTTP(ctx, s, src)
		}
	default:
		err = r.resolveTree(s)
	}
	if err != nil {
		return err
	}
	if s.want, err = wanted(s.obj, s.source, s.version); err != nil {
		return failed(sourcev1.ReasonMetadataPatchError, err)
	}
	return nil
}

// resolveHTTP looks the chart up in the index of a repository.
func (r *Reconciler) resolveHTTP(ctx context.Context, s *scope, repo *sourcev1.HelmRepository) error {
	how, err := s.access.HTTP(ctx, repo)
	if err != nil {
		return failed(sourcev1.ReasonChartPullError, fmt.Errorf("%w: %w", errCredentials, err))
	}
	from, err := r.wires.Repository(how)
	if err != nil {
		return loop.Fail(sourcev1.ReasonURLInvalid, err)
	}
	versions, err := r.indexes.find(repo, s.obj.Spec.Chart, func() (io.ReadCloser, error) { return r.open(repo) })
	if err != nil {
		return err
	}
	picked, err := index.Select(versions, s.obj.Spec.Chart, s.obj.Spec.Version)
	if err != nil {
		return failed(sourcev1.ReasonInvalidChartReference, fmt.Errorf("failed to get chart version for remote reference: %w", err))
	}
	s.name, s.version = path.Base(s.obj.Spec.Chart), picked.Version
	s.origin = &httpOrigin{
		from: from, urls: picked.URLs, timeout: repo.GetTimeout(), limits: r.limits(),
		what: fmt.Sprintf("'%s' chart with version '%s'", s.obj.Spec.Chart, picked.Version),
	}
	return nil
}

// limits bound the charts that are read.
func (r *Reconciler) limits() chart.Limits {
	return chart.Limits{Package: r.opts.ChartMaxSize, File: r.opts.ChartFileMaxSize}
}

// wanted returns the version to publish: that of the chart, with what was made of it in
// its metadata, so that each product has a version of its own.
func wanted(obj *sourcev1.HelmChart, src source.Object, version string) (string, error) {
	var parts []string
	if _, remote := src.(*sourcev1.HelmRepository); !remote && obj.Spec.ReconcileStrategy == sourcev1.ReconcileStrategyRevision {
		parts = append(parts, abbreviated(src.GetArtifact().Revision))
	}
	if customValues(obj.Spec.ValuesFiles) {
		parts = append(parts, strconv.FormatInt(obj.Generation, 10))
	}
	if len(parts) == 0 {
		return version, nil
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return "", fmt.Errorf("failed to parse version '%s' from chart metadata as SemVer: %w", version, err)
	}
	with, err := v.SetMetadata(strings.Join(parts, "."))
	if err != nil {
		return "", fmt.Errorf("failed to set the metadata of version '%s': %w", version, err)
	}
	return with.String(), nil
}

// abbreviated returns the beginning of the hash in a revision.
func abbreviated(revision string) string {
	const length = 12
	hash := revision[strings.LastIndexAny(revision, ":/@")+1:]
	return hash[:min(length, len(hash))]
}

// customValues reports whether a list of values files asks for other values than those
// of the chart.
func customValues(files []string) bool {
	return len(files) > 0 && !slices.Equal(files, []string{defaultValues})
}

// stopIfPublished ends the run if the chart is the one that is advertised.
func (r *Reconciler) stopIfPublished(_ context.Context, s *scope) error {
	name := s.name
	if _, tree := s.origin.(*treeOrigin); !tree {
		// It may have another name inside, which is known only after a download.
		name = s.obj.Status.ObservedChartName
	}
	if !current(s.obj, name, s.want) {
		return nil
	}
	observe(s)
	if err := r.link(s); err != nil {
		return err
	}
	return loop.Done()
}

// current reports whether a chart of a name and a version is advertised, as the spec
// asks for it. A chart that was published anew under its version is not seen, which a
// change of the spec helps.
func current(obj *sourcev1.HelmChart, name, version string) bool {
	return obj.Status.Artifact != nil && obj.Status.Artifact.Revision == version && obj.Status.ObservedChartName == name &&
		obj.Status.ObservedGeneration == obj.Generation && !conditions.IsStalled(obj)
}

// observe records which revision of the source the artifact is of.
func observe(s *scope) {
	s.obj.Status.ObservedSourceArtifactRevision = ""
	if a := s.source.GetArtifact(); a != nil {
		s.obj.Status.ObservedSourceArtifactRevision = a.Revision
	}
}

// httpOrigin is a chart that a repository has for download.
type httpOrigin struct {
	from    *remote.Repository
	urls    []string
	timeout time.Duration
	limits  chart.Limits
	what    string
}

func (o *httpOrigin) chart(ctx context.Context) (*chart.Chart, []byte, error) {
	if len(o.urls) == 0 {
		return nil, nil, fmt.Errorf("%s has no downloadable URLs", o.what)
	}
	ctx, cancel := within(ctx, o.timeout)
	defer cancel()
	var first error
	for _, u := range o.urls {
		data, err := o.from.Chart(ctx, u, o.limits.Package)
		if err == nil {
			c, err := chart.FromPackage(data, o.limits)
			return c, data, err
		}
		if first == nil {
			first = fmt.Errorf("failed to download chart for remote reference: %s: %w", o.what, err)
		}
	}
	return nil, nil, first
}

func (o *httpOrigin) values(c *chart.Chart, name string) ([]byte, error) { return own(c, name) }

func (o *httpOrigin) dependencies() *dependencies { return nil }

// own reads a values file of the chart itself.
func own(c *chart.Chart, name string) ([]byte, error) {
	data, ok := c.File(chart.Clean(name))
	if !ok {
		return nil, fmt.Errorf("%w: no values file found at path '%s'", chart.ErrNotFound, name)
	}
	return data, nil
}

// within bounds an exchange with a repository.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errors.New("the timeout of "+d.String()+" is over"))
}
