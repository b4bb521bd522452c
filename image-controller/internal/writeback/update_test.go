package writeback

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/setters"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// patience is for what cannot fail to happen, on a machine that has much else to do.
const patience = 2 * time.Minute

// reader reads commits of a repository.
type reader struct {
	t      *testing.T
	repo   *gitservertest.Repo
	stores *git.Stores
	remote *git.Remote
}

func newReader(t *testing.T) *reader {
	t.Helper()
	s := gitservertest.Start(t, gitserver.Options{})
	r := &reader{t: t, repo: s.Repo("fleet")}
	var err error
	if r.remote, err = git.NewRemote(s.URL("fleet"), creds.Git{}); err != nil {
		t.Fatal(err)
	}
	if r.stores, err = git.OpenStores(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return r
}

// at returns the tip of a branch.
func (r *reader) at(branch string) *git.Snapshot {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	conn, err := git.NewClient(git.Limits{}).Dial(ctx, r.remote)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	targets, err := git.Reference{Branch: branch}.Resolve(conn.Refs)
	if err != nil {
		r.t.Fatal(err)
	}
	snapshot, err := r.stores.For(r.remote).Fetch(ctx, conn, targets[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = snapshot.Close() })
	return snapshot
}

// commit commits to the branch main, and returns the tip.
func (r *reader) commit(changes ...gitserver.Change) *git.Snapshot {
	r.t.Helper()
	r.repo.Commit("main", "a change", changes...)
	return r.at("main")
}

// marked is a file with the image of the policy app.
func marked(tag string) string {
	return "image: example.com/app:" + tag + " # {\"$imagepolicy\": \"apps:app\"}\n"
}

// refs say that the policy app means a tag.
func refs(tag string) setters.Refs {
	return setters.Refs{types.NamespacedName{Namespace: "apps", Name: "app"}: imagev1.ImageRef{Name: "example.com/app", Tag: tag}}
}

func nobody(types.NamespacedName) bool { return false }

func TestUpdate(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	large := "a: 1\n" + strings.Repeat("# padding\n", maxFile/10) + marked("1")
	snapshot := r.commit(
		gitserver.File("deploy/app.yaml", marked("1")), gitserver.File("deploy/right.yml", marked("2")),
		gitserver.File("deploy/.hidden/Kustomization", marked("1")), gitserver.File("deploy/app.json", marked("1")),
		gitserver.File("deploy/plain.yaml", "a: 1\n"), gitserver.File("deploy/bad.yaml", marked("1")+"{{ if }}\n"),
		gitserver.File("deploy/typo.yaml", "a: 1\n"+strings.ReplaceAll(marked("1"), "apps:app", "apps:apb")),
		gitserver.File("deploy/large.yaml", large), gitserver.Symlink("deploy/link.yaml", "app.yaml"),
		gitserver.File("other/app.yaml", marked("1")))
	tests := map[string]struct {
		why, at  string
		err      error
		edited   []string
		problems []string // what they contain
		known    bool
	}{
		"a folder": {
			at: "deploy", edited: []string{"deploy/.hidden/Kustomization", "deploy/app.yaml"},
			problems: []string{"deploy/bad.yaml: the file has markers", "deploy/large.yaml: the file has markers", "deploy/typo.yaml:2: unknown policy"},
		},
		"markers of others": {
			why: "who writes them knows them", at: "deploy/", known: true, edited: []string{"deploy/.hidden/Kustomization", "deploy/app.yaml"},
			problems: []string{"deploy/bad.yaml: ", "deploy/large.yaml: "},
		},
		"a file":                {at: "./other/app.yaml", edited: []string{"other/app.yaml"}},
		"a path that leads out": {why: "it is taken for one below the root", at: "../../other", edited: []string{"other/app.yaml"}},
		"no such folder":        {at: "missing", err: ErrNoPath},
		"below a file":          {at: "other/app.yaml/x", err: ErrNoPath},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := NewFinder().Update(snapshot, tc.at, refs("2"), func(types.NamespacedName) bool { return tc.known })
			if !errors.Is(err, tc.err) {
				t.Fatalf("%v; want %v (%s)", err, tc.err, tc.why)
			}
			var edited []string
			for _, e := range got.Edits {
				edited = append(edited, e.Path)
				if string(e.Content) != marked("2") {
					t.Errorf("%s becomes %q", e.Path, e.Content)
				}
			}
			if diff := cmp.Diff(tc.edited, edited); diff != "" {
				t.Errorf("edits (-want +got):\n%s%s", diff, tc.why)
			}
			if len(got.Problems) != len(tc.problems) {
				t.Fatalf("problems %v; want %q (%s)", got.Problems, tc.problems, tc.why)
			}
			for i, p := range got.Problems {
				if !strings.Contains(p.String(), tc.problems[i]) {
					t.Errorf("problem %q; want %q in it", p, tc.problems[i])
				}
			}
		})
	}
}

// TestCost: what was seen to have no markers is not read again, however much it is.
func TestCost(t *testing.T) {
	t.Parallel()
	const folders, files, every = 200, 20, 80 // 4,000 files, of which 50 have markers
	r := newReader(t)
	var changes []gitserver.Change
	for i := range folders * files {
		content := fmt.Sprintf("number: %d\n", i)
		if i%every == 0 {
			content += marked("1")
		}
		changes = append(changes, gitserver.File(fmt.Sprintf("d%03d/f%02d.yaml", i/files, i%files), content))
	}
	const withMarkers = folders * files / every
	f := NewFinder()
	update := func(s *git.Snapshot) Update {
		t.Helper()
		u, err := f.Update(s, "", refs("2"), nobody)
		if err != nil {
			t.Fatal(err)
		}
		if u.Marked != withMarkers || len(u.Edits) > withMarkers {
			t.Fatalf("%d files are marked and %d edited; want %d", u.Marked, len(u.Edits), withMarkers)
		}
		return u
	}
	first := update(r.commit(changes...))
	if first.Read != folders*files {
		t.Errorf("the first look read %d files; want all of them, %d", first.Read, folders*files)
	}
	// Of what is new, what has no markers; and beside it, that of a folder that has.
	u := update(r.commit(gitserver.File("d007/f01.yaml", "number: new\n"), gitserver.File("d008/f01.yaml", "number: newer\n"), gitserver.File("README.md", "x")))
	if want := withMarkers + 2; u.Read != want {
		t.Errorf("after two files have changed, %d were read; want %d: those and the marked ones", u.Read, want)
	}
	var updated []gitserver.Change
	for _, e := range u.Edits {
		updated = append(updated, gitserver.File(e.Path, string(e.Content)))
	}
	if u = update(r.commit(updated...)); u.Read != withMarkers || !u.Empty() {
		t.Errorf("of what was updated, %d files were read and %d edited; want %d and none", u.Read, len(u.Edits), withMarkers)
	}
}

// TestMemoryIsBounded, and keeps what is used.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory(100)
	for i := range 10_000 {
		m.add(fmt.Sprint(i))
		if !m.has("0") {
			t.Fatalf("what is used all the time is forgotten after %d more", i)
		}
		if n := m.size(); n > 100 {
			t.Fatalf("%d are remembered; want 100 at most", n)
		}
	}
	if m.has("1") {
		t.Error("what was not used is still remembered")
	}
}

// TestSameFolderTwice: a folder with markers is looked at wherever it is.
func TestSameFolderTwice(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	u, err := NewFinder().Update(r.commit(gitserver.File("a/x/app.yaml", marked("1")), gitserver.File("b/x/app.yaml", marked("1"))), "", refs("2"), nobody)
	if err != nil || len(u.Edits) != 2 {
		t.Errorf("%d edits, %v; want 2", len(u.Edits), err)
	}
}

func TestAlike(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	base := r.commit(gitserver.File("a/app.yaml", marked("1")), gitserver.File("b.yaml", "b: 1\n"), gitserver.Symlink("link", "b.yaml"), gitserver.File("a/bad.yaml", marked("1")+"{{ if }}\n"))
	tests := map[string]struct {
		why    string
		change gitserver.Change
		want   bool
	}{
		"a marked value":           {change: gitserver.File("a/app.yaml", marked("3")), want: true},
		"more than the value":      {change: gitserver.File("a/app.yaml", marked("3")+"# reviewed\n")},
		"another file":             {change: gitserver.File("b.yaml", "b: 2\n")},
		"a new file":               {change: gitserver.File("c.yaml", "c: 1\n")},
		"a file that is gone":      {change: gitserver.Delete("b.yaml")},
		"a link":                   {why: "links are not looked at otherwise", change: gitserver.Symlink("link", "a/app.yaml")},
		"a mode":                   {change: gitserver.Executable("b.yaml", "b: 1\n")},
		"a mode of a marked file":  {change: gitserver.Executable("a/app.yaml", marked("1"))},
		"a folder":                 {change: gitserver.File("b.yaml.d/x.yaml", marked("1"))},
		"a file that cannot parse": {why: "nobody knows what of it is marked", change: gitserver.File("a/bad.yaml", marked("3")+"{{ if }}\n")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			branch := strings.ReplaceAll(name, " ", "-")
			r.repo.Reset(branch, base.Commit.Hash.String())
			r.repo.Commit(branch, "a change", tc.change)
			got, err := Alike(base, r.at(branch), refs("2"))
			if err != nil || got != tc.want {
				t.Errorf("alike is %t, %v; want %t (%s)", got, err, tc.want, tc.why)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	s := r.commit(gitserver.File("a/app.yaml", marked("1")), gitserver.File("b.yaml", "b: 1\n"))
	tests := map[string]struct {
		path, content string
		want          bool
	}{
		"the same":           {path: "a/app.yaml", content: marked("1"), want: true},
		"another":            {path: "a/app.yaml", content: marked("2")},
		"another length":     {path: "a/app.yaml", content: "x"},
		"no such file":       {path: "a/b.yaml", content: "b: 1\n"},
		"a folder":           {path: "a", content: "b: 1\n"},
		"a file on the way":  {path: "b.yaml/c.yaml", content: "b: 1\n"},
		"without a marker":   {path: "b.yaml", content: "b: 1\n", want: true},
		"no folder of those": {path: "x/y/z.yaml", content: ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Holds(s, []git.Edit{{Path: tc.path, Content: []byte(tc.content)}})
			if err != nil || got != tc.want {
				t.Errorf("holds is %t, %v; want %t", got, err, tc.want)
			}
		})
	}
}

// TestEditsMakeACommit: what is to be changed goes through a draft as it is.
func TestEditsMakeACommit(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	s := r.commit(gitserver.File("a/app.yaml", marked("1")))
	u, err := NewFinder().Update(s, "a", refs("2"), nobody)
	if err != nil {
		t.Fatal(err)
	}
	draft, err := s.Draft(u.Edits, git.CommitOptions{Author: object.Signature{Name: "bot", Email: "bot@example.com", When: time.Unix(1, 0)}, Message: "Update"})
	if err != nil || draft.Parent != s.Commit.Hash {
		t.Errorf("a draft on %v, %v; want it on %s", draft, err, s.Commit.Hash)
	}
}
