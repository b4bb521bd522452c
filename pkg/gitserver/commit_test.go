package gitserver_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

const someCommit = "0123456789abcdef0123456789abcdef01234567"

// newRepo returns a repository for tests that serve nothing.
func newRepo(t *testing.T) *gitservertest.Repo {
	t.Helper()
	return gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit}).Repo("fleet")
}

// listing returns the modes and paths of everything in a commit.
func listing(repo *gitservertest.Repo, rev string) []string {
	var lines []string
	for line := range strings.Lines(repo.Git("ls-tree", "-r", "-t", "-z", rev)) {
		for entry := range strings.SplitSeq(strings.TrimRight(line, "\x00"), "\x00") {
			mode, _, _ := strings.Cut(entry, " ")
			_, path, _ := strings.Cut(entry, "\t")
			lines = append(lines, mode+" "+path)
		}
	}
	return lines
}

func TestCommit(t *testing.T) {
	tests := map[string]struct {
		why   string
		first []gitserver.Change
		then  []gitserver.Change
		want  []string
	}{
		"orders entries as git does": {
			why:   "a folder sorts as if its name ended in a slash, between a.b and a0",
			first: []gitserver.Change{gitserver.File("a/x", ""), gitserver.File("a.b", ""), gitserver.File("a-b", ""), gitserver.File("a0", ""), gitserver.File("A", "")},
			want:  []string{"100644 A", "100644 a-b", "100644 a.b", "040000 a", "100644 a/x", "100644 a0"},
		},
		"knows all modes": {
			why: "kustomizations hold links and scripts, and repositories submodules",
			first: []gitserver.Change{
				gitserver.File("file", "x"), gitserver.Executable("run.sh", "#!/bin/sh\n"), gitserver.Symlink("link", "../anywhere"),
				gitserver.Submodule("vendor/lib", someCommit), gitserver.File(".gitmodules", "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = https://example.com/lib\n"),
			},
			want: []string{"100644 .gitmodules", "100644 file", "120000 link", "100755 run.sh", "040000 vendor", "160000 vendor/lib"},
		},
		"rewrites folders on the path and no others": {
			why:   "the rest stays",
			first: []gitserver.Change{gitserver.File("a/b/c/one", "1"), gitserver.File("a/d/two", "2"), gitserver.File("e", "3")},
			then:  []gitserver.Change{gitserver.File("a/b/c/four", "4"), gitserver.File("e", "5")},
			want:  []string{"040000 a", "040000 a/b", "040000 a/b/c", "100644 a/b/c/four", "100644 a/b/c/one", "040000 a/d", "100644 a/d/two", "100644 e"},
		},
		"deletes empty folders": {
			why:   "git has none",
			first: []gitserver.Change{gitserver.File("a/b/c", ""), gitserver.File("d", "")},
			then:  []gitserver.Change{gitserver.Delete("a/b/c")},
			want:  []string{"100644 d"},
		},
		"deletes folders": {
			why:   "as git rm -r does",
			first: []gitserver.Change{gitserver.File("a/b/c", ""), gitserver.File("a/d", "")},
			then:  []gitserver.Change{gitserver.Delete("a/b")},
			want:  []string{"040000 a", "100644 a/d"},
		},
		"deletes everything": {
			why:   "an empty repository is one that prunes",
			first: []gitserver.Change{gitserver.File("a/b/c", "")},
			then:  []gitserver.Change{gitserver.Delete("a")},
		},
		"replaces a folder": {
			why:   "deleting comes first, whatever the order",
			first: []gitserver.Change{gitserver.File("a/b", ""), gitserver.File("a/c", "")},
			then:  []gitserver.Change{gitserver.File("a/d", ""), gitserver.Delete("a")},
			want:  []string{"040000 a", "100644 a/d"},
		},
		"replaces a folder by a file": {
			why:   "it is deleted first",
			first: []gitserver.Change{gitserver.File("a/b", "")},
			then:  []gitserver.Change{gitserver.Delete("a"), gitserver.File("a", "")},
			want:  []string{"100644 a"},
		},
		"replaces a file by a folder": {
			why:   "it is deleted first",
			first: []gitserver.Change{gitserver.File("a", "")},
			then:  []gitserver.Change{gitserver.Delete("a"), gitserver.File("a/b", "")},
			want:  []string{"040000 a", "100644 a/b"},
		},
		"changes a mode": {
			why:   "the content is the same",
			first: []gitserver.Change{gitserver.File("a", "x")},
			then:  []gitserver.Change{gitserver.Executable("a", "x")},
			want:  []string{"100755 a"},
		},
		"commits nothing": {
			why:   "a revision may change without a file",
			first: []gitserver.Change{gitserver.File("a", "")},
			want:  []string{"100644 a"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			repo := newRepo(t)
			repo.Commit("main", "first", tc.first...)
			rev := repo.Commit("main", "then", tc.then...)
			if got := repo.Head("main"); got != rev {
				t.Errorf("main is %s, want %s", got, rev)
			}
			if diff := cmp.Diff(tc.want, listing(repo, rev)); diff != "" {
				t.Errorf("tree (-want +got, %s):\n%s", tc.why, diff)
			}
			repo.Git("fsck", "--strict")
		})
	}
}

func TestCommitRefuses(t *testing.T) {
	type changes []gitserver.Change
	tests := map[string]struct {
		why   string
		first changes
		then  changes
		want  error // nil means ErrInvalidPath
	}{
		"does not delete what is not there":      {why: "the test means another path", then: changes{gitserver.Delete("a")}, want: gitserver.ErrNoFile},
		"does not delete in what is not there":   {why: "the test means another path", then: changes{gitserver.Delete("a/b")}, want: gitserver.ErrNoFile},
		"does not write a file over a folder":    {why: "that deletes more than is said", first: changes{gitserver.File("a/b", "")}, then: changes{gitserver.File("a", "")}},
		"does not write a folder over a file":    {why: "that deletes more than is said", first: changes{gitserver.File("a", "")}, then: changes{gitserver.File("a/b", "")}},
		"does not write a file twice":            {why: "which of them?", then: changes{gitserver.File("a", "1"), gitserver.File("a", "2")}},
		"does not write a file that is a folder": {why: "there is no such thing", then: changes{gitserver.File("a/b", "1"), gitserver.File("a", "2")}},
		"needs a commit for a submodule":         {why: "it is nothing else", then: changes{gitserver.Submodule("a", "main")}},
		"needs a target for a link":              {why: "git checks out no other", then: changes{gitserver.Symlink("a", "")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.want == nil {
				tc.want = gitserver.ErrInvalidPath
			}
			repo := newRepo(t)
			before := repo.Commit("main", "first", tc.first...)
			if _, err := repo.Repo.Commit("main", "then", tc.then...); !errors.Is(err, tc.want) {
				t.Errorf("Commit: %v, want %v (%s)", err, tc.want, tc.why)
			}
			if got := repo.Head("main"); got != before {
				t.Errorf("main moved from %s to %s by a commit that failed", before, got)
			}
		})
	}
}

func TestCommitRefusesPaths(t *testing.T) {
	repo := newRepo(t)
	for _, path := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", ".git/config", "a/.GIT/b", ".git ", ".git.", "git~1/x", `a\b`, "a\x00b", strings.Repeat("a", 5000),
	} {
		if _, err := repo.Repo.Commit("main", "m", gitserver.File(path, "")); !errors.Is(err, gitserver.ErrInvalidPath) {
			t.Errorf("path %.20q: %v, want %v", path, err, gitserver.ErrInvalidPath)
		}
	}
	for _, branch := range []string{"", "-x", "a..b", "../x", "a.lock", "a b", "a/", "/a", "@{", "a^"} {
		if _, err := repo.Repo.Commit(branch, "m"); !errors.Is(err, gitserver.ErrInvalidRef) {
			t.Errorf("branch %q: %v, want %v", branch, err, gitserver.ErrInvalidRef)
		}
	}
}

func TestCommitsCanBeReproduced(t *testing.T) {
	build := func() []string {
		repo := newRepo(t)
		first := repo.Commit("main", "first", gitserver.File("a", "1"))
		tag := repo.TagAnnotated("v1", first, "one")
		return []string{first, tag, repo.Commit("main", "second", gitserver.File("a", "2"))}
	}
	got, again := build(), build()
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("the same commits differ:\n%s", diff)
	}
	// A change here changes the revisions that other tests expect.
	if want := "7d4110"; !strings.HasPrefix(got[2], want) {
		t.Errorf("second commit is %s, want %s…", got[2], want)
	}
}

func TestCommitBy(t *testing.T) {
	repo := newRepo(t)
	when := time.Date(2026, time.March, 1, 12, 30, 0, 0, time.FixedZone("", 2*60*60))
	var signed []string
	author := gitserver.Author{Name: "Ada", Email: "ada@example.com", When: when, Sign: func(payload []byte) (string, error) {
		signed = append(signed, string(payload))
		return "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----", nil
	}}
	rev := repo.CommitBy(author, "main", "with a signature", gitserver.File("a", "1"))
	tag := repo.TagBy(author, "v1", rev, "signed too")
	if got, want := repo.Git("log", "-1", "--format=%an %ae %aI|%cn %ce %cI|%B"), "Ada ada@example.com 2026-03-01T12:30:00+02:00|Ada ada@example.com 2026-03-01T12:30:00+02:00|with a signature\n\n"; got != want {
		t.Errorf("log is %q, want %q", got, want)
	}
	for i, rev := range []string{rev, tag} {
		kind := []string{"commit", "tag"}[i]
		content := repo.Git("cat-file", kind, rev)
		if !strings.Contains(content, "BEGIN PGP SIGNATURE-----\n") || strings.Contains(signed[i], "PGP") {
			t.Errorf("%s is\n%s\nand what was signed\n%s", kind, content, signed[i])
		}
	}
	repo.Git("fsck", "--strict")

	_, err := repo.Repo.CommitBy(gitserver.Author{Name: "a <b>"}, "main", "m")
	if err == nil {
		t.Error("an author with brackets is accepted")
	}
	if _, err := repo.Repo.Commit("main", "a\x00b"); err == nil {
		t.Error("a message with a zero byte is accepted")
	}
}

func TestConcurrentCommits(t *testing.T) {
	const writers, each = 4, 10
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	s.Repo("fleet").Commit("main", "first")
	var wg sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		repo, err := gitserver.Open(s.Dir, "fleet") // each with a lock of its own
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range each {
				_, err := repo.Commit("main", "m", gitserver.File(fmt.Sprintf("%d/%d", w, i), "x"))
				errs <- err
			}
		})
	}
	// Whoever looks meanwhile finds a ref, and never a lock.
	for range 20 {
		if res := get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", ""); res.StatusCode != 200 {
			t.Errorf("refs while commits are made: status %d", res.StatusCode)
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	repo := s.Repo("fleet")
	if got, want := repo.Git("rev-list", "--count", "main"), fmt.Sprintf("%d\n", writers*each+1); got != want {
		t.Errorf("main has %s commits, want %s", got, want)
	}
}

// manyFiles is a fleet of so many files, a hundred in a folder.
func manyFiles(n int) map[string]string {
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprintf("apps/team-%03d/app-%05d.yaml", i/100, i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-%05d\n", i)
	}
	return files
}

func TestCommitOfManyFilesIsAPack(t *testing.T) {
	repo := newRepo(t)
	files := manyFiles(3 * gitserver.MaxLoose)
	rev := repo.Commit("main", "many", gitserver.Files(files)...)
	if got := strings.Count(repo.Git("ls-tree", "-r", rev), "\n"); got != len(files) {
		t.Errorf("the commit has %d files, want %d", got, len(files))
	}
	loose := repo.Git("count-objects", "-v")
	if !strings.Contains(loose, "count: 0\n") || !strings.Contains(loose, "packs: 1\n") {
		t.Errorf("objects are not one pack:\n%s", loose)
	}
	repo.Commit("main", "one of them", gitserver.File("apps/team-001/app-00100.yaml", "changed\n"))
	loose = repo.Git("count-objects", "-v")
	if !strings.Contains(loose, "count: 5\n") { // a file, three folders, the commit
		t.Errorf("a change of one file writes more than its path:\n%s", loose)
	}
	repo.Git("fsck", "--strict")
}

func BenchmarkCommit(b *testing.B) {
	files := gitserver.Files(manyFiles(20_000))
	b.Run("first of 20000 files", func(b *testing.B) {
		for b.Loop() {
			gitservertest.Start(b, gitserver.Options{Backend: gitserver.GoGit}).Repo("fleet").Commit("main", "many", files...)
		}
	})
	b.Run("one of 20000 files", func(b *testing.B) {
		repo := gitservertest.Start(b, gitserver.Options{Backend: gitserver.GoGit}).Repo("fleet")
		repo.Commit("main", "many", files...)
		i := 0
		for b.Loop() {
			i++
			repo.Commit("main", "one", gitserver.File("apps/team-007/app-00700.yaml", fmt.Sprint(i)))
		}
	})
}
