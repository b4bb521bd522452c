package git_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// ref is the full name of a branch.
func ref(branch string) plumbing.ReferenceName { return plumbing.NewBranchReferenceName(branch) }

func hexBytes(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tap keeps the last push that comes by.
type tap struct {
	mu   sync.Mutex
	body []byte
}

func (p *tap) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gitserver.KindOf(r) == gitserver.ReceivePack {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			p.mu.Lock()
			p.body = body
			p.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	})
}

// objects counts what the pack of the last push has, by kind.
func (p *tap) objects(t *testing.T) map[string]int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, pack, ok := bytes.Cut(p.body, []byte("0000PACK"))
	if !ok {
		t.Fatalf("there is no pack in a push of %d bytes", len(p.body))
	}
	s := packfile.NewScanner(bufio.NewReader(bytes.NewReader(append([]byte("PACK"), pack...))))
	_, count, err := s.Header()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]int)
	for range count {
		header, err := s.NextObjectHeader()
		if err != nil {
			t.Fatal(err)
		}
		all[header.Type.String()]++
		if _, _, err := s.NextObject(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestPushIsSmall: what is sent is what is new, however large the repository is.
func TestPushIsSmall(t *testing.T) {
	t.Parallel()
	const folders, files = 100, 200
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		var seen tap
		opts.Middleware = []gitserver.Middleware{seen.wrap}
		s, r, f := takesPushes(t, opts)
		all := make(map[string]string, folders*files)
		for i := range folders * files {
			all[fmt.Sprintf("apps/%03d/%03d.yaml", i/files, i%files)] = fmt.Sprintf("kind: App\nnumber: %d\n", i)
		}
		r.Commit("main", "all", gitserver.Files(all)...)
		snapshot := f.fetch(branch("main"))
		s.Counter.Reset()
		f.mustPush("main", draft(t, snapshot, edit("apps/050/100.yaml", "kind: App\nnumber: new\n")))
		got := s.Counter.Counts()
		// Three trees, of which the largest has 200 entries, which do not compress well.
		want, most := map[string]int{"commit": 1, "tree": 3, "blob": 1}, int64(14_000)
		if opts.Backend == gitserver.GitCommand { // which takes deltas; the root has but one entry
			want, most = map[string]int{"commit": 1, "tree": 1, "ref-delta": 3}, 1000
		}
		if got.Pushed > most || got.Requests() != 2 || got.ReceivePacks != 1 {
			t.Errorf("%+v, want two requests, and no more than %d bytes", got, most)
		}
		if diff := cmp.Diff(want, seen.objects(t)); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
		r.Git("fsck", "--strict", "main")
	})
}

// TestPushDeltas: a small change of a large file takes few bytes, and gives that file.
func TestPushDeltas(t *testing.T) {
	t.Parallel()
	s, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
	before := noise(1, 300_000)
	r.Commit("main", "one", gitserver.File("big.yaml", before))
	after := before[:150_000] + "changed: yes\n" + before[150_000:]
	snapshot := f.fetch(branch("main"))
	s.Counter.Reset()
	f.mustPush("main", draft(t, snapshot, edit("big.yaml", after)))
	if got := s.Counter.Counts(); got.Pushed > 3000 {
		t.Errorf("%+v, want no more than 3000 bytes for one line", got)
	}
	if got := r.Git("show", "main:big.yaml"); got != after {
		t.Errorf("the file has %d bytes, want %d, or others", len(got), len(after))
	}
	r.Git("fsck", "--strict", "main")
}

// TestPushKeepsOthersCommits: who was first wins, and whoever comes later builds on that.
func TestPushKeepsOthersCommits(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"), gitserver.File("b", noise(1, 5000)))
		d := draft(t, f.fetch(branch("main")), edit("a", "ours"))
		theirs := r.Commit("main", "a person", gitserver.File("b", "theirs"))
		s.Counter.Reset()
		silent(t, f.push("main", d), git.ErrMoved, theirs, d.Parent.String(), "refs/heads/main")
		if got := s.Counter.Counts(); got.ReceivePacks != 0 || got.Requests() != 1 {
			t.Errorf("%+v for what is too late, want the refs alone", got)
		}
		if got := r.Head("main"); got != theirs {
			t.Errorf("the branch is at %s, want %s", got, theirs)
		}
		again := draft(t, f.fetch(branch("main")), edit("a", "ours"))
		f.mustPush("main", again)
		want := map[string]string{"a": "ours", "b": "theirs"}
		if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		if got := r.Git("rev-list", "--count", "main"); got != "3\n" {
			t.Errorf("%s commits, want 3", got)
		}
	})
}

// overtake lets others commit after the refs were shown and before the push is taken.
func overtake(r *gitservertest.Repo, do func(*gitservertest.Repo)) gitserver.Middleware {
	return gitserver.Only(gitserver.ReceivePack, gitserver.Times(1, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			do(r)
			next.ServeHTTP(w, req)
		})
	}))
}

// TestPushIsOvertaken: between the look at the refs and the push, too, nobody's commit
// is lost.
func TestPushIsOvertaken(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"))
		d := draft(t, f.fetch(branch("main")), edit("a", "ours"))
		s.Faults.Set(overtake(r, func(r *gitservertest.Repo) { r.Commit("main", "a person", gitserver.File("b", "theirs")) }))
		silent(t, f.push("main", d), git.ErrMoved, "refs/heads/main")
		if diff := cmp.Diff(map[string]string{"a": "1", "b": "theirs"}, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}

		s.Faults.Set(nil)
		d = draft(t, f.fetch(branch("main")), edit("a", "ours"))
		s.Faults.Set(overtake(r, func(r *gitservertest.Repo) { r.DeleteRef("refs/heads/main") }))
		silent(t, f.push("main", d), git.ErrMoved, "at no commit")
		if _, err := r.Repo.Head("main"); !errors.Is(err, gitserver.ErrNoRef) {
			t.Errorf("the branch that was deleted is there again: %v", err)
		}
	})
}

// TestPushToAnEmptyRepository: there is nothing to build on, so that what is pushed has
// come from elsewhere.
func TestPushToAnEmptyRepository(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"))
		d := draft(t, f.fetch(branch("main")), edit("a", "2"))
		s.Repo("empty")
		f.remote = remoteAt(t, s.URL("empty"), creds.Git{})
		silent(t, f.push("main", d), git.ErrMoved, "at no commit")
		err := f.client.Push(soon(t), f.remote, d, []git.RefUpdate{{Name: ref("main"), New: d.Hash}}, git.PushOptions{})
		if opts.Backend == gitserver.GitCommand { // the other does not look for parents
			silent(t, err, git.ErrRefused)
		}
	})
}

func TestPushRefused(t *testing.T) {
	t.Parallel()
	const why = "\x1b[31mERROR:\x1b[0m main is protected\x07\r\nopen a \"merge request\"\n  at https://user-value:pw-value@example.com/\n"
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		head := r.Commit("main", "one", gitserver.File("a", "1"))
		r.Protect("main", why)
		f.remote = remoteAt(t, s.URL("fleet"), creds.Git{Username: creds.Hide("user"), Password: creds.Hide("pw-value")})
		d := draft(t, f.fetch(branch("main")), edit("a", "2"))
		err := f.push("main", d)
		if err == nil {
			t.Fatal("the push is done")
		}
		if strings.Contains(err.Error(), "pw-value") {
			t.Errorf("%q tells the password", err)
		}
		for _, says := range []string{"refs/heads/main", "hook declined", "ERROR: main is protected"} {
			if !errors.Is(err, git.ErrRefused) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %v, and that it says %q", err, git.ErrRefused, says)
			}
		}
		if strings.ContainsAny(err.Error(), "\x1b\x07\r") {
			t.Errorf("%q has control characters", err)
		}
		if got := r.Head("main"); got != head {
			t.Errorf("the branch is at %s, want %s", got, head)
		}
		f.mustPush("main2", rebased(d)) // where nothing is protected
	})
}

// rebased is a draft for a branch that is not there yet.
func rebased(d *git.Draft) *git.Draft {
	other := *d
	other.Parent = plumbing.ZeroHash
	return &other
}

// TestPushRefusedAtLength: a hook may print as much as it likes.
func TestPushRefusedAtLength(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
	r.Commit("main", "one", gitserver.File("a", "1"))
	r.Protect("main", strings.Repeat("éé ", 100_000))
	err := f.push("main", draft(t, f.fetch(branch("main")), edit("a", "2")))
	silent(t, err, git.ErrRefused, "éé")
	if err != nil && (len(err.Error()) > 2000 || strings.ContainsRune(err.Error(), '�')) {
		t.Errorf("an error of %d bytes: %.600q", len(err.Error()), err)
	}
}

// TestPushByRulesOfTheServer are refusals that git itself makes.
func TestPushByRulesOfTheServer(t *testing.T) {
	t.Parallel()
	opts := needs(t, gitserver.GitCommand)
	opts.Config = map[string]string{"receive.denyNonFastForwards": "true", "receive.fsckObjects": "true"}
	_, r, f := takesPushes(t, opts)
	r.Commit("main", "one", gitserver.File("a", "1"))
	old := hash(r.Commit("other", "unrelated", gitserver.File("b", "1")))
	d := draft(t, f.fetch(branch("main")), edit("a", "2"))
	err := f.client.Push(soon(t), f.remote, d, []git.RefUpdate{{Name: ref("other"), Old: old, New: d.Hash}}, git.PushOptions{})
	silent(t, err, git.ErrRefused, "non-fast-forward")
	f.mustPush("main", d)
}

func TestPushOptions(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		head := r.Commit("main", "one", gitserver.File("a", "1"))
		d := draft(t, f.fetch(branch("main")), edit("a", "2"))
		updates := []git.RefUpdate{{Name: ref("main"), Old: d.Parent, New: d.Hash}}
		options := git.PushOptions{Options: map[string]string{"merge_request.create": "", "merge_request.title": "a = b, c", "ci.skip": ""}}
		s.Counter.Reset()
		silent(t, f.client.Push(soon(t), f.remote, d, updates, options), git.ErrNoPushOptions)
		if got := s.Counter.Counts(); got.ReceivePacks != 0 || r.Head("main") != head {
			t.Errorf("%+v to a remote that takes no options, want nothing to be sent", got)
		}
		r.AcceptOptions()
		if err := f.client.Push(soon(t), f.remote, d, updates, options); err != nil {
			t.Fatal(err)
		}
		want := []string{"ci.skip", "merge_request.create", "merge_request.title=a = b, c"}
		if diff := cmp.Diff(want, r.PushOptions()); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
		for _, bad := range []map[string]string{{"": "x"}, {"a": "b\nc"}, {"a\x00": ""}, {"a": strings.Repeat("b", 5000)}} {
			err := f.client.Push(soon(t), f.remote, d, updates, git.PushOptions{Options: bad})
			if !errors.Is(err, git.ErrInvalidReference) {
				t.Errorf("options of %d bytes: %v, want %v", len(fmt.Sprint(bad)), err, git.ErrInvalidReference)
			}
		}
	})
}
