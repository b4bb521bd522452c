package git_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// serve starts a server with an empty repository, and somebody who follows it.
func serve(t testing.TB, opts gitserver.Options) (*gitservertest.Server, *gitservertest.Repo, *follower) {
	t.Helper()
	s := gitservertest.Start(t, opts)
	return s, s.Repo("fleet"), follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
}

func TestHistoryStaysBehind(t *testing.T) {
	t.Parallel()
	s, r, f := serve(t, needs(t, gitserver.GitCommand))
	const size = 20_000
	_, last := history(r, "main", 40, size)
	snapshot := f.fetch(branch("main"))
	// As hexadecimal digits, the content takes half of its size.
	if got := s.Counter.Counts(); got.Bytes > size || got.Requests() != 2 {
		t.Errorf("%+v, want two requests and no more than %d bytes", got, size)
	}
	if snapshot.Commit.Hash != hash(last) || len(snapshot.Commit.ParentHashes) != 1 {
		t.Errorf("commit %s with parents %v, want %s and its parent", snapshot.Commit.Hash, snapshot.Commit.ParentHashes, last)
	}
	if diff := cmp.Diff(noise(40, size), content(t, snapshot)["data.txt"]); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	s.Counter.Reset()
	history(r, "main", 40, size)
	f.fetch(branch("main"))
	if got := s.Counter.Counts(); got.Bytes > size {
		t.Errorf("%+v, want no more than %d bytes, however much happened in between", got, size)
	}
}

// TestOneFile: it is what a large repository costs day by day.
func TestOneFile(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		files := make(map[string]string)
		for i := range 100 {
			files[fmt.Sprintf("apps/%03d/app.yaml", i)] = noise(i+1, 2000)
		}
		r.Commit("main", "all", gitserver.Files(files)...)
		if diff := cmp.Diff(len(files), count(content(t, f.fetch(branch("main"))))); diff != "" {
			t.Fatalf("files (-want +got):\n%s", diff)
		}
		const most = 10_000 // bytes; the folder apps alone has 100 entries
		for i := range 3 {
			path := fmt.Sprintf("apps/%03d/app.yaml", i*30)
			files[path] += "one: line\n"
			s.Counter.Reset()
			r.Commit("main", "one", gitserver.File(path, files[path]))
			snapshot := f.fetch(branch("main"))
			want := gitserver.Counts{Advertisements: 1, UploadPacks: 1}
			got := s.Counter.Counts()
			if got.Bytes > most {
				t.Errorf("%d bytes for one file, want no more than %d", got.Bytes, most)
			}
			if got.Bytes = 0; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if diff := cmp.Diff(files[path], content(t, snapshot)[path]); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		}
	})
}

// count returns how many files there are.
func count(content map[string]string) int {
	n := 0
	for _, c := range content {
		if c != "/" {
			n++
		}
	}
	return n
}

func TestKnownCommit(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		rev := r.Commit("main", "one", gitserver.File("a", "1"))
		if _, ok := f.store().Has(hash(rev)); ok {
			t.Error("the store has a commit before it was fetched")
		}
		f.fetch(branch("main"))
		r.TagAnnotated("v1.0.0", rev, "one")
		r.Reset("release", rev)
		s.Counter.Reset()
		refs := []git.Reference{branch("main"), branch("release"), {Tag: "v1.0.0"}, {SemVer: "*"}, {Name: "refs/heads/release"}, {Commit: rev}}
		for _, ref := range refs {
			if diff := cmp.Diff(map[string]string{"a": "1"}, content(t, f.fetch(ref))); diff != "" {
				t.Errorf("content of %+v (-want +got):\n%s", ref, diff)
			}
		}
		if got := s.Counter.Counts(); got.UploadPacks != 0 || got.Advertisements != len(refs) {
			t.Errorf("%+v, want the refs alone", got)
		}
		s.Counter.Reset()
		snapshot, ok := f.store().Has(hash(rev))
		if !ok || snapshot.Commit.Hash != hash(rev) {
			t.Errorf("Has: %v, want the commit", ok)
		}
		if got := s.Counter.Counts(); got.Requests() != 0 {
			t.Errorf("%+v for what is here", got)
		}
	})
}

func TestRewrittenHistory(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		check := func(what string, ref git.Reference, want map[string]string) {
			t.Helper()
			if diff := cmp.Diff(want, content(t, f.fetch(ref))); diff != "" {
				t.Errorf("%s: content (-want +got):\n%s", what, diff)
			}
		}
		big := noise(1, 5000)
		first := r.Commit("main", "one", gitserver.File("a", "1"), gitserver.File("big", big))
		second := r.Commit("main", "two", gitserver.File("a", "2"))
		third := r.Commit("main", "three", gitserver.File("a", "3"), gitserver.Delete("big"))
		r.Tag("moving", first)
		check("tip", branch("main"), map[string]string{"a": "3"})
		r.Reset("main", second)
		check("back by one", branch("main"), map[string]string{"a": "2", "big": big})
		r.Reset("main", first)
		check("back to the beginning", branch("main"), map[string]string{"a": "1", "big": big})
		r.Commit("main", "other two", gitserver.File("a", "2b"))
		check("another future", branch("main"), map[string]string{"a": "2b", "big": big})
		r.Reset("main", third)
		check("and back", branch("main"), map[string]string{"a": "3"})
		orphan := r.Commit("orphan", "from nothing", gitserver.File("big", big), gitserver.File("c", "1"))
		r.Reset("main", orphan)
		check("nothing in common", branch("main"), map[string]string{"big": big, "c": "1"})
		check("tag", git.Reference{Tag: "moving"}, map[string]string{"a": "1", "big": big})
		r.TagAnnotated("moving", third, "moved")
		check("moved tag", git.Reference{Tag: "moving"}, map[string]string{"a": "3"})
		r.Commit("main", "same content", gitserver.File("c", "1"))
		check("nothing changed", branch("main"), map[string]string{"big": big, "c": "1"})
	})
}

// TestAnyHistory fetches what a generated history leads to, step by step, and compares
// it with what was committed.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				anyHistory(t, opts, rand.New(rand.NewPCG(seed, 0)))
			})
		}
	})
}

func anyHistory(t *testing.T, opts gitserver.Options, random *rand.Rand) {
	s, r, f := serve(t, opts)
	branches := []string{"main", "dev", "release"}
	known := make(map[string]map[string]string) // content of commits
	at := make(map[string]string)               // commits of branches
	for step := range 25 {
		on := branches[random.IntN(len(branches))]
		if revs := slices.Sorted(maps.Keys(known)); len(revs) > 0 && random.IntN(4) == 0 {
			at[on] = revs[random.IntN(len(revs))]
			r.Reset(on, at[on])
		}
		next, changes := anyChanges(random, known[at[on]])
		at[on] = r.Commit(on, fmt.Sprint("step ", step), changes...)
		known[at[on]] = next
		if random.IntN(3) == 0 {
			continue // what was in between is not seen
		}
		got, err := read(f.fetch(branch(on)))
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		maps.DeleteFunc(got, func(_, c string) bool { return c == "/" })
		if diff := cmp.Diff(next, got); diff != "" {
			t.Fatalf("step %d: content of %s (-want +got):\n%s", step, at[on], diff)
		}
	}
	for _, pack := range f.packs() {
		if out, err := s.TryGit(t.TempDir(), "verify-pack", strings.TrimSuffix(pack, ".pack")+".idx"); err != nil {
			t.Errorf("%s: %v\n%s", pack, err, out)
		}
	}
}

// anyChanges returns some changes to files and what they make of the files. They are
// large enough for git to make deltas of them.
func anyChanges(random *rand.Rand, files map[string]string) (map[string]string, []gitserver.Change) {
	next := maps.Clone(files)
	if next == nil {
		next = make(map[string]string)
	}
	changed := make(map[string]bool)
	for range 1 + random.IntN(3) {
		path := fmt.Sprintf("dir%d/file%d", random.IntN(3), random.IntN(4))
		content := next[path]
		if content == "" {
			content = noise(random.IntN(50)+1, 3000)
		} else {
			i := random.IntN(len(content))
			content = content[:i] + fmt.Sprint(random.Int()) + content[i:]
		}
		next[path], changed[path] = content, true
	}
	var changes []gitserver.Change
	for path := range changed {
		changes = append(changes, gitserver.File(path, next[path]))
	}
	if paths := slices.Sorted(maps.Keys(files)); len(paths) > 3 && random.IntN(4) == 0 {
		if path := paths[random.IntN(len(paths))]; !changed[path] {
			delete(next, path)
			changes = append(changes, gitserver.Delete(path))
		}
	}
	return next, changes
}

func TestCommitBelowTheTip(t *testing.T) {
	t.Parallel()
	closed := map[string]string{"uploadpack.allowReachableSHA1InWant": "false", "uploadpack.allowTipSHA1InWant": "false"}
	servers := map[string]gitserver.Options{
		"reachable":  {Backend: gitserver.GitCommand},
		"tips alone": {Backend: gitserver.GitCommand, Config: closed},
		"any":        {Backend: gitserver.GitCommand, Config: map[string]string{"uploadpack.allowReachableSHA1InWant": "false", "uploadpack.allowAnySHA1InWant": "true"}},
		"GoGit":      {Backend: gitserver.GoGit},
	}
	for name, opts := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t, opts.Backend)
			_, r, f := serve(t, opts)
			first := r.Commit("main", "one", gitserver.File("a", "1"))
			second := r.Commit("main", "two", gitserver.File("a", "2"))
			r.Commit("main", "three", gitserver.File("a", "3"))
			other := r.Commit("other", "one", gitserver.File("b", "1"))
			r.Commit("other", "two", gitserver.File("b", "2"))
			f.fetch(branch("main"))
			for what, ref := range map[string]git.Reference{"alone": {Commit: first}, "on its branch": {Commit: second, Branch: "main"}, "elsewhere": {Commit: other}} {
				snapshot, err := f.try(ref)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if snapshot.Commit.Hash.String() != ref.Commit {
					t.Errorf("%s: commit %s, want %s", what, snapshot.Commit.Hash, ref.Commit)
				}
				if _, err := read(snapshot); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			// The store is as good as before.
			r.Commit("main", "four", gitserver.File("a", "4"))
			if diff := cmp.Diff(map[string]string{"a": "4"}, content(t, f.fetch(branch("main")))); diff != "" {
				t.Errorf("content afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommitThatIsNotThere(t *testing.T) {
	t.Parallel()
	closed := map[string]string{"uploadpack.allowReachableSHA1InWant": "false", "uploadpack.allowTipSHA1InWant": "false"}
	const nowhere = "1111111111111111111111111111111111111111"
	tests := map[string]struct {
		opts gitserver.Options
		ref  git.Reference
		says string
	}{
		"reachable":       {opts: gitserver.Options{Backend: gitserver.GitCommand}, ref: git.Reference{Commit: nowhere}, says: "not our ref " + nowhere},
		"GoGit":           {opts: gitserver.Options{Backend: gitserver.GoGit}, ref: git.Reference{Commit: nowhere}, says: "not our ref " + nowhere},
		"tips alone":      {opts: gitserver.Options{Backend: gitserver.GitCommand, Config: closed}, ref: git.Reference{Commit: nowhere}, says: "not in the history of any branch"},
		"on the branch":   {opts: gitserver.Options{Backend: gitserver.GitCommand, Config: closed}, ref: git.Reference{Commit: nowhere, Branch: "main"}, says: `not in the history of branch "main"`},
		"on another":      {opts: gitserver.Options{Backend: gitserver.GitCommand, Config: closed}, ref: git.Reference{Commit: "other", Branch: "main"}, says: `not in the history of branch "main"`},
		"the zero commit": {opts: gitserver.Options{Backend: gitserver.GoGit}, ref: git.Reference{Commit: strings.Repeat("0", 40)}, says: "not our ref"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t, tc.opts.Backend)
			_, r, f := serve(t, tc.opts)
			r.Commit("main", "one", gitserver.File("a", "1"))
			other := r.Commit("other", "one", gitserver.File("b", "1"))
			r.Commit("other", "two", gitserver.File("b", "2"))
			if tc.ref.Commit == "other" {
				tc.ref.Commit = other
			}
			_, err := f.try(tc.ref)
			silent(t, err, git.ErrNoRef, tc.says)
			if _, ok := f.store().Has(hash(tc.ref.Commit)); ok {
				t.Error("the store has it")
			}
			if diff := cmp.Diff(map[string]string{"a": "1"}, content(t, f.fetch(branch("main")))); diff != "" {
				t.Errorf("content afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNotACommit: a tag may be of anything, and it is not the store's fault.
func TestNotACommit(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"))
		f.fetch(branch("main"))
		blob := r.WriteObject("blob", []byte("text"))
		r.SetRef("refs/tags/light", blob)
		r.TagAnnotated("annotated", blob, "of a blob")
		before := f.packs()[0]
		for _, tag := range []string{"light", "annotated", "light"} {
			_, err := f.try(git.Reference{Tag: tag})
			silent(t, err, git.ErrNoRef, "blob", blob)
		}
		if !slices.Contains(f.packs(), before) {
			t.Error("the store was begun anew")
		}
	})
}

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		_, err := f.dial()
		silent(t, err, git.ErrEmpty, "git repository is empty")
		r.Commit("main", "one", gitserver.File("a", "1"))
		f.fetch(branch("main"))
	})
}
