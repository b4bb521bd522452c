package observe_test

import (
	"errors"
	"maps"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/watch"
)

// asUser returns where somebody works, in a cluster that nobody asks.
func asUser(t *testing.T, user string) *tenant.Place {
	t.Helper()
	clusters, err := tenant.New(&rest.Config{Host: "http://127.0.0.1:1"}, http.DefaultClient, meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace", Wake: func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := clusters.Enter(types.NamespacedName{Namespace: "team", Name: "app"}, user)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestStorageOfOthersIsKnownToWhoMayReadIt: the watch is the controller's, which knows the
// releases of all. Who may not read them must not learn even that there is none.
func TestStorageOfOthersIsKnownToWhoMayReadIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		storage string
		user    string
		asks    map[string]int // for what is stored, and is not there, when it is looked at first
		refused bool
	}{
		"its own":     {why: "the tenant may know all there is in its namespace", storage: "team", user: "robot", asks: map[string]int{}},
		"no tenant":   {why: "the controller knows anyway", storage: "shop", asks: map[string]int{}},
		"another one": {why: "it is asked as the tenant", storage: "shop", user: "robot", asks: map[string]int{"list": 1}, refused: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cs := fake.NewClientset()
			forbidden := true
			cs.PrependReactor("*", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				return forbidden, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("no"))
			})
			secrets := cs.CoreV1().Secrets(tc.storage)
			watcher := releases.NewWatcher(func(schema.GroupVersionResource) watch.Source { return nil }, func(string, string) {})
			watcher.Listed(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, nil, "1")
			var memory observe.Memory
			at := asUser(t, tc.user)
			look := func(name string) (observe.Found, error) {
				return observe.Facts(t.Context(), &memory, observe.Input{
					HelmRelease: &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}},
					At:          at, Watcher: watcher, History: watcher.Open(secrets, tc.storage, name), Storage: tc.storage,
					Release: types.NamespacedName{Namespace: "team", Name: name},
				})
			}
			_, err := look("app")
			if refused := apierrors.IsForbidden(err); refused != tc.refused || err != nil && !refused {
				t.Errorf("where nothing is stored: %v (%s)", err, tc.why)
			}
			forbidden = false
			cs.ClearActions()
			for n := range 2 {
				found, err := look("app")
				if err != nil || found.State != state.Absent {
					t.Errorf("once it may be read: %s, %v", found.State, err)
				}
				asked := make(map[string]int)
				for _, a := range cs.Actions() {
					asked[a.GetVerb()]++
				}
				if !maps.Equal(asked, tc.asks) {
					t.Errorf("look %d: the requests are %v; want %v (%s)", n, asked, tc.asks, tc.why)
				}
			}
			forbidden = true
			if _, err := look("next"); tc.refused && !apierrors.IsForbidden(err) {
				t.Errorf("another release there: %v", err)
			}
		})
	}
}
