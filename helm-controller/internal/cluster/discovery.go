package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/tenant"
)

const (
	// aggregated asks an API server for all that it serves in one answer.
	aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	// maxDiscovery bounds such an answer.
	maxDiscovery = 32 << 20
)

// discovered is what a cluster serves, so that it tells it again only when that has changed.
// It is kept with the cluster; the zero value knows nothing. It is safe for concurrent use.
type discovered struct {
	mu    sync.Mutex
	known map[string]answer // by root
}

// answer is what a cluster said under one root.
type answer struct {
	tag      string
	versions []string
}

// discoveredKey is what it is kept under.
type discoveredKey struct{}

// Capabilities returns what charts may know of a cluster, as Helm has it. That costs three
// requests, two of which are answered by nothing if nothing has changed.
func Capabilities(ctx context.Context, at *tenant.Place) (*chartutil.Capabilities, error) {
	conn := connect(ctx, at, nil)
	version, err := conn.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its version: %w", err)
	}
	d, ok := at.Keep(discoveredKey{}, func() any { return &discovered{} }).(*discovered)
	if !ok {
		d = &discovered{}
	}
	served, err := d.served(ctx, conn)
	if errors.Is(err, errNotAggregated) {
		served, err = conn.servedByOld()
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its APIs: %w", err)
	}
	return &chartutil.Capabilities{
		KubeVersion: chartutil.KubeVersion{Version: version.GitVersion, Major: version.Major, Minor: version.Minor},
		APIVersions: served, HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
	}, nil
}

// served returns the APIs of a cluster, and their kinds, in the form of Helm.
func (d *discovered) served(ctx context.Context, conn *connection) (chartutil.VersionSet, error) {
	var all []string
	for _, root := range []string{"/api", "/apis"} {
		d.mu.Lock()
		known := d.known[root]
		d.mu.Unlock()
		found, err := conn.discover(ctx, root, known)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		if d.known == nil {
			d.known = make(map[string]answer)
		}
		d.known[root] = found
		d.mu.Unlock()
		all = append(all, found.versions...)
	}
	return chartutil.VersionSet(all), nil
}

// url returns where something is on the API server.
func (c *connection) url(to string) (string, error) {
	base, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return "", err
	}
	where := *base
	where.Path = path.Join("/", where.Path, to)
	return where.String(), nil
}

// version asks for the version of Kubernetes.
func (c *connection) version(ctx context.Context) (*apiversion.Info, error) {
	where, err := c.url("/version")
	if err != nil {
		return nil, err
	}
	resp, err := c.get(ctx, where, "application/json", "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp)
	}
	info := &apiversion.Info{}
	return info, json.NewDecoder(io.LimitReader(resp.Body, maxDiscovery)).Decode(info)
}

func (c *connection) get(ctx context.Context, where, accept, tag string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := c.http.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return nil, wrapped.Err // without the address of the API server
	}
	return resp, err
}

// errNotAggregated says that an API server is too old to tell all in one answer.
var errNotAggregated = errors.New("the API server does not know aggregated discovery")

// discover asks what is served under one root, unless it is as it was known.
func (c *connection) discover(ctx context.Context, root string, known answer) (answer, error) {
	where, err := c.url(root)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.get(ctx, where, aggregated+",application/json", known.tag)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && known.tag != "":
		return known, nil
	case resp.StatusCode == http.StatusNotAcceptable, resp.StatusCode == http.StatusNotFound:
		return answer{}, errNotAggregated
	case resp.StatusCode != http.StatusOK:
		return answer{}, refusal(resp)
	case !strings.Contains(resp.Header.Get("Content-Type"), "as=APIGroupDiscoveryList"):
		return answer{}, errNotAggregated
	}
	var list apidiscovery.APIGroupDiscoveryList
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDiscovery)).Decode(&list); err != nil {
		return answer{}, err
	}
	return answer{tag: resp.Header.Get("Etag"), versions: versionsOf(list)}, nil
}

// refusal is the error for an answer that is none.
func refusal(resp *http.Response) error { return fmt.Errorf("the API server answered %q", resp.Status) }

// versionsOf returns what is served in the form of Helm: each version of an API, and each
// kind in it.
func versionsOf(list apidiscovery.APIGroupDiscoveryList) []string {
	groups, resources, _ := discovery.SplitGroupsAndResources(list)
	all := sets.New[string]()
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			all.Insert(version.GroupVersion)
		}
	}
	for _, of := range resources {
		for _, resource := range of.APIResources {
			all.Insert(path.Join(of.GroupVersion, resource.Kind))
		}
	}
	return slices.Sorted(slices.Values(all.UnsortedList()))
}

// servedByOld asks an API server that is too old to tell all in one answer.
func (c *connection) servedByOld() (chartutil.VersionSet, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(c.config, c.http)
	if err != nil {
		return nil, err
	}
	return action.GetVersionSet(onlyServed{client})
}

// onlyServed is discovery that leaves out APIs whose servers do not answer.
type onlyServed struct{ discovery.DiscoveryInterface }

// ServerGroupsAndResources implements discovery.ServerResourcesInterface.
func (o onlyServed) ServerGroupsAndResources() ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	groups, resources, err := o.DiscoveryInterface.ServerGroupsAndResources()
	if discovery.IsGroupDiscoveryFailedError(err) {
		err = nil
	}
	return groups, resources, err
}
