package tenant_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/watch"
)

// TestConfigIsThatOfTheTenant: who makes a client of the configuration alone is the
// tenant all the same, with the credentials that there are by then.
func TestConfigIsThatOfTheTenant(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClusters(t)
	p, err := c.EnterRemote(owner("x"), s.remote("prod", "old"), "team")
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.Config()
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.EnterRemote(owner("x"), s.remote("prod", "new"), "team"); err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*http.Client{"a client of Config": hc, "HTTP": p.HTTP()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cfg.Host+"/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got, want := s.last(), "Bearer new as team"; got != want {
			t.Errorf("%s asks by %q; want %q", name, got, want)
		}
	}
	if cfg.BearerToken != "" || cfg.Host != s.URL {
		t.Errorf("the configuration shows the token %q and the host %q; want none, and %q", cfg.BearerToken, cfg.Host, s.URL)
	}
}

// TestConfigKeepsTheScheme: that of a host without one follows from what is not shown.
func TestConfigKeepsTheScheme(t *testing.T) {
	t.Parallel()
	c := newClustersAt(t, &rest.Config{Host: "k8s.example.com:6443", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("ca")}}, nil)
	p, err := c.Enter(owner("x"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Config().Host, "https://k8s.example.com:6443"; got != want {
		t.Errorf("the host is %q; want %q", got, want)
	}
}

// extra runs until its context ends, and tells both.
type extra struct {
	cluster      string
	open         func(schema.GroupVersionResource) watch.Source
	begun, ended chan struct{}
}

func (e *extra) Start(ctx context.Context) error {
	close(e.begun)
	<-ctx.Done()
	close(e.ended)
	return nil
}

func newExtra(cluster string, open func(schema.GroupVersionResource) watch.Source) tenant.Runner {
	return &extra{cluster: cluster, open: open, begun: make(chan struct{}), ended: make(chan struct{})}
}

// newClustersAt returns clusters that run nothing yet.
func newClustersAt(t *testing.T, cfg *rest.Config, more func(string, func(schema.GroupVersionResource) watch.Source) tenant.Runner) *tenant.Clusters {
	t.Helper()
	c, err := tenant.New(cfg, http.DefaultClient, meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace", Extra: more,
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestExtraLivesAsLongAsItsCluster: it is one for all places in a cluster, and asks by
// the identity of the cluster.
func TestExtraLivesAsLongAsItsCluster(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClustersAt(t, &rest.Config{Host: "http://127.0.0.1:1"}, newExtra)
	start(t, c)
	enter := func(name, user string) *extra {
		t.Helper()
		p, err := c.EnterRemote(owner(name), s.remote("prod", "t"), user)
		if err != nil {
			t.Fatal(err)
		}
		return p.Extra.(*extra)
	}
	x, y := enter("x", "team"), enter("y", "other")
	local, err := c.Enter(owner("l"), "")
	if err != nil {
		t.Fatal(err)
	}
	here := local.Extra.(*extra)
	if x != y || x == here || x.cluster != "prod" || here.cluster != "" {
		t.Errorf("two places of %q have the same one: %t; this cluster, %q, has the same one as another: %t", x.cluster, x == y, here.cluster, x == here)
	}
	await(t, "the start of what runs in the other cluster", x.begun)
	await(t, "the start of what runs in this one", here.begun)
	if _, err := x.open(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a server that serves nothing lists Secrets")
	}
	if got, want := s.last(), "Bearer t as "; got != want {
		t.Errorf("it asks by %q; want %q", got, want)
	}
	c.Leave(owner("x"))
	c.Leave(owner("l"))
	select {
	case <-x.ended:
		t.Error("it has ended, and one owner is left in the cluster")
	case <-here.ended:
		t.Error("what runs in this cluster has ended")
	default:
	}
	c.Leave(owner("y"))
	await(t, "the end with the last owner", x.ended)
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("waited in vain for %s", what)
	}
}
