package tenant_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
)

// TestWhatIsKeptIsThatOfOneCluster: who names the same server by another kubeconfig may
// reach another one, and learns nothing of it.
func TestWhatIsKeptIsThatOfOneCluster(t *testing.T) {
	t.Parallel()
	type key struct{}
	s, c := newServer(t), newClusters(t)
	kept := func(name, remote, user string) *int {
		t.Helper()
		p, err := c.EnterRemote(owner(name), s.remote(remote, "t"), user)
		if err != nil {
			t.Fatal(err)
		}
		n, ok := p.Keep(key{}, func() any { return new(int) }).(*int)
		if !ok {
			t.Fatal("something else is kept")
		}
		return n
	}
	x, y := kept("x", "prod", "team"), kept("y", "prod", "other")
	if x != y {
		t.Error("two places of a cluster do not have the same")
	}
	if kept("z", "test", "team") == x {
		t.Error("two kubeconfigs have the same")
	}
	local, err := c.Enter(owner("l"), "")
	if err != nil {
		t.Fatal(err)
	}
	if local.Keep(key{}, func() any { return new(int) }) == any(x) {
		t.Error("this cluster and another have the same")
	}
	for _, name := range []string{"x", "y"} {
		c.Leave(owner(name))
	}
	if kept("x", "prod", "team") == x {
		t.Error("it is kept after everybody has left the cluster")
	}
}

// deadlines notes how long requests have.
type deadlines struct {
	mu   sync.Mutex
	left []time.Duration
}

// RoundTrip implements http.RoundTripper.
func (d *deadlines) RoundTrip(req *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, _ := req.Context().Deadline()
	d.left = append(d.left, time.Until(at))
	return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: req}, nil
}

// TestRequestsHaveDeadlines: another cluster gets less time, for a tenant has named it.
func TestRequestsHaveDeadlines(t *testing.T) {
	t.Parallel()
	var asked deadlines
	c, err := tenant.New(&rest.Config{Host: "http://cluster"}, &http.Client{Transport: &asked}, meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace",
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	here, err := c.Enter(owner("l"), "")
	if err != nil {
		t.Fatal(err)
	}
	there, err := c.EnterRemote(owner("x"), tenant.Remote{Name: "prod", Version: "1", Config: &rest.Config{
		Host: "http://other", WrapTransport: func(http.RoundTripper) http.RoundTripper { return &asked },
	}}, "team")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*tenant.Place{here, there} {
		resp, err := p.HTTP().Get(p.Config().Host + "/api/v1/secrets")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	ask(there) // what it serves
	want := []time.Duration{time.Minute, 30 * time.Second, 30 * time.Second}
	if len(asked.left) < len(want) {
		t.Fatalf("there were %d requests", len(asked.left))
	}
	for i, within := range want {
		if left := asked.left[i]; left <= 0 || left > within || left < within-20*time.Second {
			t.Errorf("request %d has %s; want about %s", i, left, within)
		}
	}
}
