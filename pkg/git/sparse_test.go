package git_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

func TestEntriesOf(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "all",
		gitserver.File("README", "root"), gitserver.File("apps.txt", "root"),
		gitserver.File("apps/a/x", "x"), gitserver.File("apps/b/y", "y"), gitserver.File("apps-more/z", "z"),
		gitserver.File("infra/deep/er/w", "w"), gitserver.Symlink("link", "apps"),
		gitserver.Submodule("vendor/other", "1111111111111111111111111111111111111111"),
	)
	snapshot := f.fetch(branch("main"))
	tests := map[string]struct {
		why  string
		in   []string
		want []string
		err  error
	}{
		"a folder":                {why: "and nothing that begins like it", in: []string{"apps"}, want: []string{"apps", "apps/a", "apps/a/x", "apps/b", "apps/b/y"}},
		"a folder below":          {why: "with those above it", in: []string{"infra/deep"}, want: []string{"infra", "infra/deep", "infra/deep/er", "infra/deep/er/w"}},
		"several":                 {why: "each folder above once", in: []string{"apps/b", "apps/a"}, want: []string{"apps", "apps/a", "apps/a/x", "apps/b", "apps/b/y"}},
		"one in another":          {why: "each file once", in: []string{"apps/a", "apps"}, want: []string{"apps", "apps/a", "apps/a/x", "apps/b", "apps/b/y"}},
		"with a dot and a slash":  {why: "people write it so", in: []string{"./apps/a/"}, want: []string{"apps", "apps/a", "apps/a/x"}},
		"a submodule":             {why: "it is a folder", in: []string{"vendor/other"}, want: []string{"vendor", "vendor/other"}},
		"the root":                {why: "it is everything", in: []string{"./", "apps"}, want: []string{"README", "apps", "apps-more", "apps-more/z", "apps.txt", "apps/a", "apps/a/x", "apps/b", "apps/b/y", "infra", "infra/deep", "infra/deep/er", "infra/deep/er/w", "vendor", "vendor/other"}},
		"one that does not exist": {why: "it is a mistake", in: []string{"apps", "nope"}, err: git.ErrNoFolder},
		"a file":                  {why: "it is no folder", in: []string{"README"}, err: git.ErrNoFolder},
		"below a file":            {why: "it is no folder", in: []string{"README/x"}, err: git.ErrNoFolder},
		"a link":                  {why: "links are left out", in: []string{"link"}, err: git.ErrNoFolder},
		"one outside":             {why: "there is nothing", in: []string{"../apps"}, err: git.ErrNoFolder},
		"one of the machine":      {why: "it is not in the repository", in: []string{"/etc"}, err: git.ErrNoFolder},
	}
	for name, tc := range tests {
		entries, err := snapshot.EntriesOf(tc.in)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v; want %v (%s)", name, err, tc.err, tc.why)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		slices.Sort(got)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got, %s):\n%s", name, tc.why, diff)
		}
	}
}
