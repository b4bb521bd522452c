package git_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
)

// TestReplacedRemote: at the same address is another repository, which knows nothing of
// what the store has.
func TestReplacedRemote(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"), gitserver.File("shared", noise(1, 5000)))
		old := r.Commit("main", "two", gitserver.File("a", "2"))
		f.fetch(branch("main"))
		if err := os.RemoveAll(r.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := gitserver.Init(s.Dir, "fleet"); err != nil {
			t.Fatal(err)
		}
		r.Commit("main", "of another", gitserver.File("b", "1"), gitserver.File("shared", noise(1, 5000)))
		want := map[string]string{"b": "1", "shared": noise(1, 5000)}
		for range 2 {
			if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			r.Commit("main", "more of it", gitserver.File("c", "1"))
			want["c"] = "1"
		}
		// What was fetched stays readable by who has it published.
		if snapshot, ok := f.store().Has(hash(old)); !ok || content(t, snapshot)["a"] != "2" {
			t.Errorf("the old commit is here: %t", ok)
		}
	})
}
