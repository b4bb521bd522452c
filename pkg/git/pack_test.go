package git_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// TestLargeObject: a pack of a few kilobytes may hold what fills the memory.
func TestLargeObject(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		const limit = 100_000
		_, r, f := serve(t, opts)
		f.client = git.NewClient(git.Limits{Object: limit, Pack: 50_000})
		r.Commit("main", "just", gitserver.File("large", strings.Repeat("x", limit)))
		before := content(t, f.fetch(branch("main")))
		good := r.Commit("main", "more", gitserver.File("large", strings.Repeat("x", limit+1)))
		for range 2 {
			_, err := f.try(branch("main"))
			silent(t, err, git.ErrTooLarge, "an object of the remote is too large: it has 100001 bytes, and the limit is 100000")
		}
		if left := f.onDisk(func(name string) bool { return strings.HasPrefix(name, "tmp_") }); len(left) > 0 || len(f.packs()) != 1 {
			t.Errorf("on disk are %v and %v, want the pack of the first fetch", f.packs(), left)
		}
		// Another limit is all it takes.
		f.client = git.NewClient(git.Limits{})
		if diff := cmp.Diff(len(before["large"])+1, len(content(t, f.fetch(git.Reference{Commit: good}))["large"])); diff != "" {
			t.Errorf("size (-want +got):\n%s", diff)
		}
	})
}
