package tenant_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// server is an API server that serves nothing, and notes who asks.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.Header.Get("Authorization")+" as "+r.Header.Get("Impersonate-User"))
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// last returns who asked last.
func (s *server) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return ""
	}
	return s.asked[len(s.asked)-1]
}

func (s *server) remote(name, token string) tenant.Remote {
	return tenant.Remote{Name: name, Config: &rest.Config{Host: s.URL, BearerToken: token}, Version: token}
}

func newClusters(t *testing.T) *tenant.Clusters {
	t.Helper()
	c, err := tenant.New(&rest.Config{Host: "http://127.0.0.1:1"}, http.DefaultClient, meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace",
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, c)
	return c
}

// start runs clusters until the test ends.
func start(t *testing.T, c *tenant.Clusters) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Start ended with %v", err)
		}
	})
}

func owner(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "a", Name: name}
}

// ask has a place ask its cluster something.
func ask(p *tenant.Place) {
	_, _, _ = p.Resource(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}) // there is none
}

func TestCredentialsRotateInPlace(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClusters(t)
	first, err := c.EnterRemote(owner("x"), s.remote("prod", "old"), "")
	if err != nil {
		t.Fatal(err)
	}
	ask(first)
	if got, want := s.last(), "Bearer old as "; got != want {
		t.Errorf("the cluster is asked by %q; want %q", got, want)
	}
	again, err := c.EnterRemote(owner("x"), s.remote("prod", "new"), "")
	if err != nil {
		t.Fatal(err)
	}
	if again != first {
		t.Error("new credentials make another place; want what is known of the objects to stay")
	}
	ask(first)
	if got, want := s.last(), "Bearer new as "; got != want {
		t.Errorf("after the rotation the cluster is asked by %q; want %q", got, want)
	}
}

func TestPlacesAreSharedByUser(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClusters(t)
	enter := func(name, remote, user string) *tenant.Place {
		t.Helper()
		p, err := c.EnterRemote(owner(name), s.remote(remote, "t"), user)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	x, y, z := enter("x", "prod", "team"), enter("y", "prod", "team"), enter("z", "prod", "other")
	if x != y || x == z {
		t.Error("places are shared by who is not the same user, or not by who is")
	}
	if x.Drift != z.Drift || x.Health != z.Health {
		t.Error("one cluster is watched twice")
	}
	if w := enter("w", "test", "team"); w.Drift == x.Drift {
		t.Error("two kubeconfigs share what is known of their clusters")
	}
	local, err := c.Enter(owner("l"), "team")
	if err != nil {
		t.Fatal(err)
	}
	if local.Drift == x.Drift {
		t.Error("this cluster and another one are taken for the same")
	}
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClusters(t)
	first, err := c.EnterRemote(owner("x"), s.remote("prod", "t"), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.At(owner("x")) != first || c.At(owner("y")) != nil {
		t.Error("the place of an owner is not the one that it entered")
	}
	c.Leave(owner("x"))
	c.Leave(owner("x"))
	if c.At(owner("x")) != nil {
		t.Error("an owner that has left has a place")
	}
	again, err := c.EnterRemote(owner("x"), s.remote("prod", "t"), "")
	if err != nil {
		t.Fatal(err)
	}
	if again.Drift == first.Drift {
		t.Error("a cluster that nobody used is still known; want it to be let go")
	}
	local, err := c.Enter(owner("x"), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.At(owner("x")) != local {
		t.Error("who enters another place is not there")
	}
}

func TestClusterThatCannotBeReachedIsNotKept(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), newClusters(t)
	bad := s.remote("prod", "t")
	bad.Config.CAData = []byte("no certificate")
	bad.Config.Host = "https://k8s.example.com"
	if _, err := c.EnterRemote(owner("x"), bad, ""); err == nil {
		t.Error("a CA that is none is taken")
	}
	if c.At(owner("x")) != nil {
		t.Error("the owner has a place in a cluster that cannot be reached")
	}
	if _, err := c.EnterRemote(owner("x"), s.remote("prod", "t"), ""); err != nil {
		t.Errorf("once it is mended: %v", err)
	}
}

// TestLeavingForgetsWhatWasApplied: nobody is to be woken about an object by a cluster
// that its owner has left.
func TestLeavingForgetsWhatWasApplied(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		leave func(*tenant.Clusters, *server) error
		known bool
	}{
		"for good": {leave: func(c *tenant.Clusters, _ *server) error {
			c.Leave(owner("x"))
			return nil
		}},
		"for this cluster": {leave: func(c *tenant.Clusters, _ *server) error {
			_, err := c.Enter(owner("x"), "")
			return err
		}},
		"to be another user": {known: true, leave: func(c *tenant.Clusters, s *server) error {
			_, err := c.EnterRemote(owner("x"), s.remote("prod", "t"), "team")
			return err
		}},
	}
	for name, tc := range tests {
		s, c := newServer(t), newClusters(t)
		var at [2]*tenant.Place
		for i, who := range []string{"x", "y"} {
			var err error
			if at[i], err = c.EnterRemote(owner(who), s.remote("prod", "t"), ""); err != nil {
				t.Fatal(err)
			}
			at[i].Drift.Applied(apply.Applied{
				ID: manifest.ID{Kind: "ConfigMap", Namespace: "a", Name: who}, Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
				Owner: owner(who), Content: "1", Object: &metav1.ObjectMeta{Namespace: "a", Name: who, ResourceVersion: "1"},
			})
		}
		if err := tc.leave(c, s); err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{tc.known, true} {
			who := []string{"x", "y"}[i]
			if got := at[i].Drift.Recall(manifest.ID{Kind: "ConfigMap", Namespace: "a", Name: who}).Last.Content != ""; got != want {
				t.Errorf("after x has left %s, the object of %s is known: %t; want %t", name, who, got, want)
			}
		}
	}
}
