package apply_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/apply"
)

// TestStrictWrites: the API server is asked to refuse what it would leave out otherwise, by
// the same requests.
func TestStrictWrites(t *testing.T) {
	t.Parallel()
	var counts [2]int
	for i, strict := range []bool{false, true} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			c := newCluster(t)
			var mu sync.Mutex
			var asked []string
			c.before = func(req *http.Request) error {
				mu.Lock()
				defer mu.Unlock()
				if req.Method == http.MethodPatch {
					asked = append(asked, req.URL.Query().Get("fieldValidation"))
				}
				return nil
			}
			c.apply(apply.Request{Strict: strict}, c.configMaps("a", "b", "c")...)
			want := ""
			if strict {
				want = "Strict"
			}
			if diff := cmp.Diff(slices.Repeat([]string{want}, len(asked)), asked); diff != "" {
				t.Errorf("validation (-want +got):\n%s", diff)
			}
			counts[i] = len(asked)
		})
	}
	if counts[0] == 0 || counts[0] != counts[1] {
		t.Errorf("there were %d requests, and %d that are strict", counts[0], counts[1])
	}
}
