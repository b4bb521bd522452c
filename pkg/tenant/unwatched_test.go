package tenant_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// TestUserThatMayNotWatch: two objects of one resource are told of once.
func TestUserThatMayNotWatch(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "no",
		})
	}))
	t.Cleanup(server.Close)
	told := make(chan string, 100)
	c, err := tenant.New(&rest.Config{Host: server.URL}, server.Client(), meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace",
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
		Unwatched: func(cluster, user string, resource schema.GroupVersionResource, err error) {
			told <- strings.Join([]string{cluster, user, resource.Resource, err.Error()}, ", ")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, c)
	p, err := c.Enter(owner("x"), "team")
	if err != nil {
		t.Fatal(err)
	}
	var awaited []health.Awaited
	for _, name := range []string{"one", "two"} {
		awaited = append(awaited, health.Awaited{
			ID: manifest.ID{Kind: "ConfigMap", Namespace: "a", Name: name}, Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		})
	}
	p.Lone.Await(owner("x"), awaited)
	deadline, tick := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for known := 0; known < len(awaited); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for the refusal; verdicts are %v", p.Lone.Check(owner("x")))
		}
		known = 0
		for _, v := range p.Lone.Check(owner("x")) {
			if strings.HasPrefix(v.Message, "may neither be watched nor read") {
				known++
			}
		}
	}
	var got []string
	for len(told) > 0 {
		got = append(got, <-told)
	}
	if diff := cmp.Diff([]string{", team, configmaps, no"}, got); diff != "" {
		t.Errorf("told of what may not be watched (-want +got):\n%s", diff)
	}
}
