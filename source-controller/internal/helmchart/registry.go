package helmchart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm/access"
	"weir.dev/source-controller/internal/helm/chart"
	"weir.dev/source-controller/internal/helm/index"
)

// chartLayers are the media types of the layer with the chart; the second is that of
// the first charts in registries.
var chartLayers = []types.MediaType{"application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip"}

// ociOrigin is a chart in a registry.
type ociOrigin struct {
	session *oci.Session
	tag     string
	digest  v1.Hash // by verify or, if there is nothing to verify, by chart
	timeout time.Duration
	limits  chart.Limits
	what    string
}

// resolveOCI looks the chart up in a registry.
func (r *Reconciler) resolveOCI(ctx context.Context, s *scope, repo *sourcev1.HelmRepository) error {
	session, err := r.session(ctx, s.access, repo, strings.TrimSuffix(repo.Spec.URL, "/")+"/"+s.obj.Spec.Chart)
	if errors.Is(err, oci.ErrInvalidURL) {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	if err != nil {
		return failed(sourcev1.ReasonChartPullError, fmt.Errorf("%w: %w", errCredentials, err))
	}
	ctx, cancel := within(ctx, repo.GetTimeout())
	defer cancel()
	version, err := ociVersion(ctx, session, s.obj.Spec.Chart, s.obj.Spec.Version)
	if err != nil {
		err = fmt.Errorf("failed to get chart version for remote reference: %w", err)
		if errors.Is(err, index.ErrNoMatch) {
			// Nobody tells when the registry has it, so it has to be looked for again.
			return loop.Fail(sourcev1.ReasonInvalidChartReference, fmt.Errorf("%s: %w", summaries[sourcev1.ReasonInvalidChartReference], err))
		}
		return failed(sourcev1.ReasonChartPullError, err)
	}
	s.name, s.version = path.Base(s.obj.Spec.Chart), version
	s.origin = newOCIOrigin(session, s.obj.Spec.Chart, version, repo.GetTimeout(), r.limits())
	return nil
}

func newOCIOrigin(session *oci.Session, name, version string, timeout time.Duration, limits chart.Limits) *ociOrigin {
	return &ociOrigin{
		session: session, tag: strings.ReplaceAll(version, "+", "_"), timeout: timeout, limits: limits,
		what: fmt.Sprintf("'%s' chart with version '%s'", name, version),
	}
}

// session logs in to the repository of a chart.
func (r *Reconciler) session(ctx context.Context, credentials access.Reader, repo *sourcev1.HelmRepository, address string) (*oci.Session, error) {
	charts, err := oci.ParseURL(address)
	if err != nil {
		return nil, err
	}
	how, err := credentials.OCI(ctx, repo, charts)
	if err != nil {
		return nil, err
	}
	return r.registries.Session(charts, how)
}

// ociVersion returns the version of a chart that is meant. A whole version needs no look
// at the registry.
func ociVersion(ctx context.Context, session *oci.Session, name, want string) (string, error) {
	if _, err := semver.StrictNewVersion(want); err == nil {
		return want, nil
	}
	tags, err := session.Tags(ctx)
	if err != nil {
		return "", err
	}
	versions := make([]index.Version, 0, len(tags))
	for _, tag := range tags {
		// A tag has an underscore where the version has a plus.
		version := strings.ReplaceAll(tag, "_", "+")
		if _, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v")); err == nil {
			versions = append(versions, index.Version{Version: version})
		}
	}
	picked, err := index.Select(versions, name, want)
	return picked.Version, err
}

// resolveDigest finds out what the tag means now.
func (o *ociOrigin) resolveDigest(ctx context.Context) error {
	if o.digest != (v1.Hash{}) {
		return nil
	}
	desc, err := o.session.Resolve(ctx, o.tag)
	o.digest = desc.Digest
	return err
}

func (o *ociOrigin) chart(ctx context.Context) (*chart.Chart, []byte, error) {
	ctx, cancel := within(ctx, o.timeout)
	defer cancel()
	data, err := o.pull(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to download chart for remote reference: %s: %w", o.what, err)
	}
	c, err := chart.FromPackage(data, o.limits)
	return c, data, err
}

// pull reads the layer with the chart.
func (o *ociOrigin) pull(ctx context.Context) ([]byte, error) {
	if err := o.resolveDigest(ctx); err != nil {
		return nil, err
	}
	image, err := o.session.Image(ctx, o.digest)
	if err != nil {
		return nil, err
	}
	for _, mediaType := range chartLayers {
		for _, layer := range image.Layers {
			if layer.MediaType != mediaType {
				continue
			}
			blob, err := o.session.Blob(ctx, layer, o.limits.Package)
			if err != nil {
				return nil, err
			}
			defer blob.Close()
			return io.ReadAll(blob) // which ends where the layer does
		}
	}
	return nil, fmt.Errorf("%w: the artifact has no layer of the media type %s", chart.ErrInvalid, chartLayers[0])
}

func (o *ociOrigin) values(c *chart.Chart, name string) ([]byte, error) { return own(c, name) }

func (o *ociOrigin) dependencies() *dependencies { return nil }
