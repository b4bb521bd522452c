package helmchart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm/access"
	"weir.dev/source-controller/internal/helm/chart"
	"weir.dev/source-controller/internal/helm/index"
	"weir.dev/source-controller/internal/helm/remote"
)

// parallel is how many charts are downloaded at once.
const parallel = 4

// dependencies find what a chart in a tree needs: beside it in the tree, or in chart
// repositories. The credentials for these are those of a HelmRepository of the same
// namespace that has the same URL; without one, nobody is told who asks.
type dependencies struct {
	reconciler *Reconciler
	access     access.Reader
	namespace  string
	tree       chart.Tree
	folder     string // of the chart
}

// resolve adds to a chart what it lacks, and returns how many charts these are.
func (d *dependencies) resolve(ctx context.Context, c *chart.Chart) (int, error) {
	missing := c.Missing()
	if len(missing) == 0 {
		return 0, nil
	}
	found := make([]*chart.Chart, len(missing))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, dep := range missing {
		g.Go(func() error {
			var err error
			if found[i], err = d.find(ctx, dep); err != nil {
				return fmt.Errorf("failed to add dependency '%s': %w", dep.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return len(missing), c.Add(found)
}

// find reads one dependency.
func (d *dependencies) find(ctx context.Context, dep chart.Dependency) (*chart.Chart, error) {
	var c *chart.Chart
	var err error
	switch address := dep.Repository; {
	case address == "":
		return nil, fmt.Errorf("%w: it has no repository, so it must be in the charts folder", chart.ErrNotFound)
	case strings.HasPrefix(address, "file://"):
		c, err = d.local(strings.TrimPrefix(address, "file://"))
	case strings.HasPrefix(address, "@"), strings.HasPrefix(address, "alias:"):
		return nil, fmt.Errorf("aliased repository dependency '%s' is not supported: write its URL", address)
	case strings.HasPrefix(address, oci.Scheme):
		c, err = d.fromRegistry(ctx, dep)
	default:
		c, err = d.fromIndex(ctx, dep)
	}
	if err != nil {
		return nil, err
	}
	if c.Name() != dep.Name {
		return nil, fmt.Errorf("%w: the chart there is '%s'", chart.ErrInvalid, c.Name())
	}
	if !chart.Satisfies(c.Version(), dep.Version) {
		return nil, fmt.Errorf("can't get a valid version for constraint '%s': the chart there has version '%s'", dep.Version, c.Version())
	}
	return c, nil
}

// local reads a chart from the tree. Its path is relative to the folder of the chart,
// and cannot lead out of the tree.
func (d *dependencies) local(name string) (*chart.Chart, error) {
	at, err := d.tree.Look(path.Join("/", d.folder, name))
	if err != nil {
		return nil, err
	}
	return at.Chart()
}

// fromIndex downloads a chart of a repository with an index.
func (d *dependencies) fromIndex(ctx context.Context, dep chart.Dependency) (*chart.Chart, error) {
	r := d.reconciler
	repo, err := d.repository(ctx, dep.Repository)
	if err != nil {
		return nil, err
	}
	how := remote.Access{URL: dep.Repository}
	timeout := remoteTimeout
	if repo != nil {
		timeout = repo.GetTimeout()
		if how, err = d.access.HTTP(ctx, repo); err != nil {
			return nil, err
		}
	}
	from, err := r.wires.Repository(how)
	if err != nil {
		return nil, err
	}
	versions, err := d.versions(ctx, repo, from, dep.Name)
	if err != nil {
		return nil, err
	}
	picked, err := index.Select(versions, dep.Name, dep.Version)
	if err != nil {
		return nil, err
	}
	o := &httpOrigin{
		from: from, urls: picked.URLs, timeout: timeout, limits: r.limits(),
		what: fmt.Sprintf("'%s' chart with version '%s'", dep.Name, picked.Version),
	}
	c, _, err := o.chart(ctx)
	return c, err
}

// versions looks a chart up in the index that is published of a repository, or in that
// of the repository itself.
func (d *dependencies) versions(ctx context.Context, repo *sourcev1.HelmRepository, from *remote.Repository, name string) ([]index.Version, error) {
	r := d.reconciler
	timeout := remoteTimeout
	if repo != nil {
		timeout = repo.GetTimeout()
		if repo.Status.Artifact != nil {
			return r.indexes.find(repo, name, func() (io.ReadCloser, error) { return r.open(repo) })
		}
	}
	ctx, cancel := within(ctx, timeout)
	defer cancel()
	answer, err := from.Index(ctx, remote.Validators{}, r.opts.IndexMaxSize)
	if err != nil {
		return nil, fmt.Errorf("failed to load index of the repository: %w", err)
	}
	x, err := index.Parse(answer.Data)
	if err != nil {
		return nil, fmt.Errorf("failed to load index of the repository: %w", err)
	}
	var text bytes.Buffer
	if err := x.WriteJSON(&text); err != nil {
		return nil, err
	}
	return index.Find(&text, name)
}

// fromRegistry pulls a chart from a registry.
func (d *dependencies) fromRegistry(ctx context.Context, dep chart.Dependency) (*chart.Chart, error) {
	r := d.reconciler
	repo, err := d.repository(ctx, dep.Repository)
	if err != nil {
		return nil, err
	}
	if repo == nil {
		repo = &sourcev1.HelmRepository{}
	}
	session, err := r.session(ctx, d.access, repo, strings.TrimSuffix(dep.Repository, "/")+"/"+dep.Name)
	if err != nil {
		return nil, err
	}
	asking, cancel := within(ctx, repo.GetTimeout())
	defer cancel()
	version, err := ociVersion(asking, session, dep.Name, dep.Version)
	if err != nil {
		return nil, err
	}
	c, _, err := newOCIOrigin(session, dep.Name, version, repo.GetTimeout(), r.limits()).chart(ctx)
	return c, err
}

// repository returns the HelmRepository of the namespace that has a URL, nil if there is
// none.
func (d *dependencies) repository(ctx context.Context, address string) (*sourcev1.HelmRepository, error) {
	var list sourcev1.HelmRepositoryList
	if err := d.reconciler.client.List(ctx, &list, client.InNamespace(d.namespace)); err != nil {
		return nil, fmt.Errorf("looking for the HelmRepository of '%s': %w", remote.Redact(address), err)
	}
	for i := range list.Items {
		if repo := &list.Items[i]; normalised(repo.Spec.URL) == normalised(address) && repo.IsOCI() == strings.HasPrefix(address, oci.Scheme) {
			return repo, nil
		}
	}
	return nil, nil
}

// normalised is a URL in the form in which repositories are compared.
func normalised(address string) string { return strings.TrimRight(address, "/") }
