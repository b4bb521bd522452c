package gitrepository_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
)

// recursive asks for submodules.
func recursive(s *sourcev1.GitRepositorySpec) { s.RecurseSubmodules = true }

// modules is a .gitmodules file: URLs by their paths.
func modules(urls map[string]string) gitserver.Change {
	var text strings.Builder
	for _, path := range slices.Sorted(maps.Keys(urls)) {
		fmt.Fprintf(&text, "[submodule %q]\n\tpath = %s\n\turl = %s\n", path, path, urls[path])
	}
	return gitserver.File(".gitmodules", text.String())
}

func TestSubmodules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deep, lib := w.git.Repo("deep"), w.git.Repo("lib")
	deepRev := deep.Commit("main", "deep", gitserver.File("d.yaml", "kind: Deep\n"))
	libRev := lib.Commit("main", "lib",
		gitserver.File("l.yaml", "kind: Lib\n"), gitserver.File(".sourceignore", "/left-out"), gitserver.File("left-out", "x"),
		modules(map[string]string{"deep": "../deep"}), gitserver.Submodule("deep", deepRev))
	first := w.repo.Commit("main", "first",
		gitserver.File("app.yaml", "kind: App\n"), gitserver.Submodule("by-mistake", libRev),
		modules(map[string]string{"vendor/lib": "../lib.git"}), gitserver.Submodule("vendor/lib", libRev))
	repo := w.source("fleet", recursive)
	expect := func(rev string, want map[string]string) {
		t.Helper()
		w.WaitPublished(repo, "main@sha1:"+rev)
		if diff := cmp.Diff(want, w.Content(repo)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if repo.Status.ObservedRecurseSubmodules != repo.Spec.RecurseSubmodules {
			t.Errorf("observedRecurseSubmodules is %t; want %t", repo.Status.ObservedRecurseSubmodules, repo.Spec.RecurseSubmodules)
		}
	}
	expect(first, map[string]string{
		"app.yaml": "kind: App\n", "vendor/lib/l.yaml": "kind: Lib\n", "vendor/lib/.sourceignore": "/left-out", "vendor/lib/deep/d.yaml": "kind: Deep\n",
	})

	// What moves on a submodule's own branch is not published before a commit names it.
	next := lib.Commit("main", "next", gitserver.File("l.yaml", "kind: Next\n"))
	w.git.Counter.Reset()
	w.Again(repo)
	if got := w.git.Counter.Counts(); got.Requests() != 1 {
		t.Errorf("a poll of an unchanged repository with submodules made %+v; want one request", got)
	}
	w.git.Counter.Reset()
	second := w.repo.Commit("main", "second", gitserver.Submodule("vendor/lib", next))
	w.Poke(repo)
	expect(second, map[string]string{
		"app.yaml": "kind: App\n", "vendor/lib/l.yaml": "kind: Next\n", "vendor/lib/.sourceignore": "/left-out", "vendor/lib/deep/d.yaml": "kind: Deep\n",
	})
	if got := w.git.Counter.Counts(); got.UploadPacks != 2 || got.Advertisements != 2 {
		t.Errorf("one submodule has another commit, and there were %+v; want two requests for refs and two for packs", got)
	}

	w.git.Counter.Reset()
	w.Patch(repo, "test", "spec: {recurseSubmodules: false}")
	expect(second, map[string]string{"app.yaml": "kind: App\n"})
	w.Patch(repo, "test", "spec: {recurseSubmodules: true, sparseCheckout: [vendor]}")
	expect(second, map[string]string{"vendor/lib/l.yaml": "kind: Next\n", "vendor/lib/.sourceignore": "/left-out", "vendor/lib/deep/d.yaml": "kind: Deep\n"})
	if got := w.git.Counter.Counts(); got.UploadPacks != 0 {
		t.Errorf("%d packs were asked for, of commits that are here", got.UploadPacks)
	}
}

func TestPollWithSubmodules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib := w.git.Repo("lib").Commit("main", "lib", gitserver.File("l.yaml", "kind: Lib\n"))
	rev := w.repo.Commit("main", "first", modules(map[string]string{"lib": "../lib"}), gitserver.Submodule("lib", lib))
	repo := w.source("fleet", often, recursive)
	w.WaitPublished(repo, "main@sha1:"+rev)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()
	allow := w.Traffic.Forbid(testplane.Any)
	polls, remote, _ := w.fourPolls(repo)
	allow()
	if !about(remote.Advertisements, polls, 1) || remote.UploadPacks != 0 || remote.Others != 0 {
		t.Errorf("%d polls cost the remotes %+v; want a request for refs each, to the repository itself", polls, remote)
	}
}

func TestSubmodulesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const nobody = "1111111111111111111111111111111111111111"
	lib := w.git.Repo("lib").Commit("main", "lib", gitserver.File("l.yaml", "kind: Lib\n"))
	chain := lib
	for i := range 11 {
		name := fmt.Sprintf("chain-%d", i)
		below := "../lib"
		if i > 0 {
			below = fmt.Sprintf("../chain-%d", i-1)
		}
		chain = w.git.Repo(name).Commit("main", name, modules(map[string]string{"x": below}), gitserver.Submodule("x", chain))
	}
	tests := map[string]struct {
		why     string
		changes []gitserver.Change
		says    []string
	}{
		"no-repository": {
			why: "it is named", changes: []gitserver.Change{modules(map[string]string{"x": "../none"}), gitserver.Submodule("x", lib)},
			says: []string{`submodule "x"`, "/none"},
		},
		"no-commit": {
			why: "it is named", changes: []gitserver.Change{modules(map[string]string{"x": "../lib"}), gitserver.Submodule("x", nobody)},
			says: []string{`submodule "x"`, nobody},
		},
		"no-url": {
			why: "a folder of the machine is nobody's business", changes: []gitserver.Change{modules(map[string]string{"x": "/srv/git/lib"}), gitserver.Submodule("x", lib)},
			says: []string{`submodule "x"`, "invalid URL"},
		},
		"too-deep": {
			why: "somebody wants us to be busy", changes: []gitserver.Change{modules(map[string]string{"x": "../chain-10"}), gitserver.Submodule("x", chain)},
			says: []string{"x/x/x/x/x/x/x/x/x/x/x", "nested too deep"},
		},
		"no-modules": {
			why: "it cannot be read", changes: []gitserver.Change{gitserver.File(".gitmodules", "[submodule"), gitserver.Submodule("x", lib)},
			says: []string{".gitmodules"},
		},
	}
	repos := make(map[string]*sourcev1.GitRepository)
	for name, tc := range tests {
		w.git.Repo(name).Commit("main", name, tc.changes...)
		repos[name] = w.source(name, recursive, func(s *sourcev1.GitRepositorySpec) { s.URL = w.git.URL(name) })
	}
	for name, tc := range tests {
		repo := repos[name]
		c := w.WaitCondition(repo, sourcev1.ConditionFetchFailed, metav1.ConditionTrue, sourcev1.ReasonGitOperationFailed)
		for _, part := range tc.says {
			if !strings.Contains(c.Message, part) {
				t.Errorf("%s: the condition says %q; want it to say %q (%s)", name, c.Message, part, tc.why)
			}
		}
		if repo.Status.Artifact != nil {
			t.Errorf("%s: %s is published", name, repo.Status.Artifact.Revision)
		}
	}
}

// witness records what is shown to a server.
type witness struct {
	mu    sync.Mutex
	shown map[string]bool // values of Authorization
}

func (h *witness) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.shown[r.Header.Get("Authorization")] = true
		h.mu.Unlock()
		next.ServeHTTP(rw, r)
	})
}

// TestSubmoduleOfAnotherHost: it gets no credentials; one of the same host does.
func TestSubmoduleOfAnotherHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, away := &witness{shown: map[string]bool{}}, &witness{shown: map[string]bool{}}
	private := gitservertest.Start(t, gitserver.Options{Username: user, Password: password, Middleware: []gitserver.Middleware{home.wrap}})
	public := gitservertest.Start(t, gitserver.Options{Middleware: []gitserver.Middleware{away.wrap}})
	own := private.Repo("lib").Commit("main", "own", gitserver.File("own.yaml", "kind: Own\n"))
	theirs := public.Repo("lib").Commit("main", "theirs", gitserver.File("theirs.yaml", "kind: Theirs\n"))
	rev := private.Repo("fleet").Commit("main", "first",
		modules(map[string]string{"own": "../lib", "theirs": public.URL("lib")}), gitserver.Submodule("own", own), gitserver.Submodule("theirs", theirs))
	repo := w.source("fleet", recursive, func(s *sourcev1.GitRepositorySpec) {
		s.URL, s.SecretRef = private.URL("fleet"), w.Secret("basic", map[string]string{"username": user, "password": password})
	})
	w.WaitPublished(repo, "main@sha1:"+rev)
	if diff := cmp.Diff(map[string]string{"own/own.yaml": "kind: Own\n", "theirs/theirs.yaml": "kind: Theirs\n"}, w.Content(repo)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	if !home.shown[basic] {
		t.Error("the own server was not shown the credentials")
	}
	if diff := cmp.Diff(map[string]bool{"": true}, away.shown); diff != "" {
		t.Errorf("the other server was shown (-want +got):\n%s", diff)
	}
}
