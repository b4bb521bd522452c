package tenant

import (
	"errors"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// TestPlaceThatCannotBeMade says so: it is another fault than a cluster out of reach.
func TestPlaceThatCannotBeMade(t *testing.T) {
	t.Parallel()
	c := &Clusters{places: make(map[types.NamespacedName]*Place)}
	broken := &cluster{config: &rest.Config{Host: "https://%"}, http: &http.Client{}, places: make(map[string]*Place)}
	if _, err := c.enter(types.NamespacedName{Name: "x"}, broken, ""); !errors.Is(err, ErrPlace) {
		t.Errorf("entered with %v; want %v", err, ErrPlace)
	}
	if len(c.places) > 0 || len(broken.places) > 0 {
		t.Error("a place is kept that there is not")
	}
}
