package git_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/git"
	"weir.dev/pkg/git/signature"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// robot is who commits in tests.
func robot() git.CommitOptions {
	when := time.Date(2024, time.June, 1, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	return git.CommitOptions{Author: object.Signature{Name: "Robot", Email: "robot@example.com", When: when}, Message: "update images"}
}

// edit replaces the content of a file.
func edit(path, content string) git.Edit { return git.Edit{Path: path, Content: []byte(content)} }

// draft drafts what has to succeed.
func draft(t testing.TB, s *git.Snapshot, edits ...git.Edit) *git.Draft {
	t.Helper()
	d, err := s.Draft(edits, robot())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// takesPushes serves a repository that may be written to.
func takesPushes(t testing.TB, opts gitserver.Options) (*gitservertest.Server, *gitservertest.Repo, *follower) {
	t.Helper()
	opts.Push = true
	return serve(t, opts)
}

// push moves a branch from the parent of a draft to the draft.
func (f *follower) push(name string, d *git.Draft) error {
	f.t.Helper()
	return f.client.Push(soon(f.t), f.remote, d, []git.RefUpdate{{Name: ref(name), Old: d.Parent, New: d.Hash}}, git.PushOptions{})
}

// mustPush is push for what has to succeed.
func (f *follower) mustPush(name string, d *git.Draft) {
	f.t.Helper()
	if err := f.push(name, d); err != nil {
		f.t.Fatalf("pushing to %q: %v", name, err)
	}
}

// TestDraft: git finds what was edited, and everything else as it was.
func TestDraft(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := takesPushes(t, opts)
		r.Commit("main", "all",
			gitserver.File("apps/a/app.yaml", "tag: 1\n"), gitserver.Executable("apps/a/run.sh", "echo 1\n"), gitserver.File("apps/b.yaml", "b\n"),
			gitserver.Symlink("link", "apps"), gitserver.Submodule("sub", strings.Repeat("1", 40)), gitserver.File("top.yaml", "top\n"))
		head := r.Head("main")
		snapshot := f.fetch(branch("main"))
		d := draft(t, snapshot,
			edit("apps/a/app.yaml", "tag: 2\n"), edit("apps/a/run.sh", "echo 2\n"), edit("apps/a.yaml", "new\n"), edit("new/deep/file", ""), edit("top.yaml", "top\n"))
		if err := snapshot.Close(); err != nil {
			t.Fatal(err)
		}
		f.mustPush("main", d)
		if got := r.Head("main"); got != d.Hash.String() || d.Parent.String() != head {
			t.Errorf("the branch is at %s, and the draft is %s on %s, want it on %s", got, d.Hash, d.Parent, head)
		}
		want := map[string]string{
			"apps": "/", "apps/a": "/", "apps/a/app.yaml": "tag: 2\n", "apps/a/run.sh": "*echo 2\n", "apps/a.yaml": "new\n", "apps/b.yaml": "b\n",
			"new": "/", "new/deep": "/", "new/deep/file": "", "sub": "/", "top.yaml": "top\n",
		}
		if diff := cmp.Diff(want, content(t, follow(t, f.remote).fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		r.Git("fsck", "--strict", "main")
		changed := "A\tapps/a.yaml\nM\tapps/a/app.yaml\nM\tapps/a/run.sh\nA\tnew/deep/file\n"
		if diff := cmp.Diff(changed, r.Git("diff-tree", "-r", "--name-status", "--no-commit-id", "main")); diff != "" {
			t.Errorf("what git says has changed (-want +got):\n%s", diff)
		}
		const who = "Robot <robot@example.com> 1717236000 +0200"
		object := r.Git("cat-file", "commit", "main")
		if want := "parent " + head + "\nauthor " + who + "\ncommitter " + who + "\n\nupdate images\n"; !strings.HasSuffix(object, want) {
			t.Errorf("the commit is\n%s\nand is to end with\n%s", object, want)
		}
	})
}

func TestDraftRefuses(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "all",
		gitserver.File("file", "1"), gitserver.File("dir/file", "1"), gitserver.Symlink("link", "dir"), gitserver.Submodule("sub", strings.Repeat("1", 40)))
	snapshot := f.fetch(branch("main"))
	tests := map[string]struct {
		why   string
		edits []git.Edit
		is    error
		says  string
	}{
		"a symbolic link":       {why: "it would become a file, or lead elsewhere", edits: []git.Edit{edit("link", "2")}, is: git.ErrNotEditable, says: "symbolic link"},
		"through one":           {why: "it may lead out of the repository", edits: []git.Edit{edit("link/file", "2")}, is: git.ErrNotEditable, says: "symbolic link"},
		"a submodule":           {edits: []git.Edit{edit("sub", "2")}, is: git.ErrNotEditable, says: "submodule"},
		"in a submodule":        {why: "that is another repository", edits: []git.Edit{edit("sub/file", "2")}, is: git.ErrNotEditable, says: "submodule"},
		"a folder":              {edits: []git.Edit{edit("dir", "2")}, is: git.ErrNotEditable, says: "folder"},
		"a file as a folder":    {edits: []git.Edit{edit("file/x", "2")}, is: git.ErrNotEditable, says: "file"},
		"twice":                 {why: "which of them is meant?", edits: []git.Edit{edit("file", "2"), edit("file", "3")}, is: git.ErrNotEditable, says: "twice"},
		"both at once":          {edits: []git.Edit{edit("new", "2"), edit("new/x", "3")}, is: git.ErrNotEditable, says: "both"},
		"both, other order":     {edits: []git.Edit{edit("new/x", "3"), edit("new", "2")}, is: git.ErrNotEditable, says: "both"},
		"upwards":               {edits: []git.Edit{edit("dir/../file", "2")}, is: git.ErrBadName},
		"absolute":              {edits: []git.Edit{edit("/file", "2")}, is: git.ErrBadName},
		"the root":              {edits: []git.Edit{edit("", "2")}, is: git.ErrBadName},
		"no name at the end":    {edits: []git.Edit{edit("dir/", "2")}, is: git.ErrBadName},
		"git's own folder":      {edits: []git.Edit{edit("dir/.git/config", "2")}, is: git.ErrBadName},
		"a zero byte":           {edits: []git.Edit{edit("a\x00b", "2")}, is: git.ErrBadName},
		"too deep":              {edits: []git.Edit{edit(strings.Repeat("a/", 300)+"b", "2")}, is: git.ErrBadName},
		"nothing":               {is: git.ErrNoChange},
		"what is there already": {edits: []git.Edit{edit("file", "1"), edit("dir/file", "1")}, is: git.ErrNoChange},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := snapshot.Draft(tc.edits, robot())
			silent(t, err, tc.is, tc.says)
			if d != nil {
				t.Errorf("there is a draft (%s)", tc.why)
			}
		})
	}
}

// TestDraftMakesTreesOfGit: whatever is edited, the tree is the one that git makes.
func TestDraftMakesTreesOfGit(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	names := []string{"a", "a-b", "a.b", "a0", "ab", "b", "B", "é", "a b", "z"}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		path := func() string {
			parts := make([]string, 1+random.IntN(3))
			for i := range parts {
				// A name with a "d" in front is of a folder.
				parts[i] = "d" + names[random.IntN(len(names))]
			}
			parts[len(parts)-1] = names[random.IntN(len(names))]
			return strings.Join(parts, "/")
		}
		ours, theirs := fmt.Sprint("ours", seed), fmt.Sprint("theirs", seed)
		before := make(map[string]string)
		for range 8 {
			before[path()] = fmt.Sprint(random.IntN(100))
		}
		base := r.Commit(ours, "before", gitserver.Files(before)...)
		r.Reset(theirs, base)
		after := map[string]string{"always": "new"}
		for range 5 {
			after[path()] = fmt.Sprint(random.IntN(100))
		}
		for _, name := range slices.Sorted(maps.Keys(before))[:2] {
			after[name] = "changed"
		}
		edits := make([]git.Edit, 0, len(after))
		for name, content := range after {
			edits = append(edits, edit(name, content))
		}
		f.mustPush(ours, draft(t, f.fetch(branch(ours)), edits...))
		r.Commit(theirs, "after", gitserver.Files(after)...)
		if our, their := r.Git("rev-parse", ours+"^{tree}"), r.Git("rev-parse", theirs+"^{tree}"); our != their {
			t.Errorf("seed %d: the tree is %s, want %s\nbefore %v\nafter %v", seed, our, their, before, after)
		}
	}
}

// TestDraftKeepsOddTrees: what git would write in another way today is nobody's to change
// but who edits it.
func TestDraftKeepsOddTrees(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	blob := string(hexBytes(t, r.WriteObject("blob", []byte("1"))))
	tree := r.WriteObject("tree", []byte("100664 b\x00"+blob+"100600 c\x00"+blob))
	r.SetRef("refs/heads/main", r.WriteObject("commit", []byte("tree "+tree+"\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nodd\n")))
	f.mustPush("main", draft(t, f.fetch(branch("main")), edit("a", "1"), edit("c", "2")))
	changed := string(hexBytes(t, strings.TrimSpace(r.Git("rev-parse", "main:c"))))
	want := "100644 a\x00" + blob + "100664 b\x00" + blob + "100600 c\x00" + changed
	if diff := cmp.Diff(want, r.Git("cat-file", "tree", "main^{tree}")); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}

	twice := r.WriteObject("tree", []byte("100644 a\x00"+blob+"100644 a\x00"+blob))
	r.SetRef("refs/heads/twice", r.WriteObject("commit", []byte("tree "+twice+"\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nodd\n")))
	_, err := f.fetch(branch("twice")).Draft([]git.Edit{edit("a", "2")}, robot())
	silent(t, err, git.ErrBadName, "twice")
}

func TestDraftMessages(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	snapshot := f.fetch(branch("main"))
	o := robot()
	o.Author.Name, o.Author.Email = "Mal <x>\nory", "m@example.com>\ncommitter Eve <e@example.com> 1 +0000\n"
	o.Message = "first\n\nbody\n\n\n"
	d, err := snapshot.Draft([]git.Edit{edit("a", "2")}, o)
	if err != nil {
		t.Fatal(err)
	}
	f.mustPush("main", d)
	object := r.Git("cat-file", "commit", "main")
	if !strings.Contains(object, "\nauthor Mal xory <m@example.comcommitter Eve e@example.com 1 +0000> ") || !strings.HasSuffix(object, "\n\nfirst\n\nbody\n") {
		t.Errorf("the commit is\n%s", object)
	}
	r.Git("fsck", "--strict", "main")
	o.Message = "a\x00b"
	if _, err := snapshot.Draft([]git.Edit{edit("a", "2")}, o); err == nil {
		t.Error("a message with a zero byte is taken")
	}
}

// signerFunc is a function as a signer.
type signerFunc func(message []byte) ([]byte, error)

func (f signerFunc) Sign(message io.Reader) ([]byte, error) {
	all, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	return f(all)
}

func TestDraftSigns(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	snapshot := f.fetch(branch("main"))
	const armored = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
	broken := errors.New("no key")
	tests := map[string]struct {
		why  string
		made string
		err  error
	}{
		"signed":  {made: armored},
		"no key":  {err: broken},
		"nothing": {why: "a commit that is not signed is not what was asked for"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := robot()
			var payload []byte
			o.Signer = signerFunc(func(message []byte) ([]byte, error) {
				payload = message
				return []byte(tc.made), tc.err
			})
			d, err := snapshot.Draft([]git.Edit{edit("a", name)}, o)
			if tc.made != armored {
				if err == nil || tc.err != nil && !errors.Is(err, tc.err) {
					t.Errorf("%v, want an error (%s)", err, tc.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f.mustPush("main", d)
			signed, err := f.fetch(branch("main")).Signed()
			if err != nil || string(signed.Signature) != armored || string(signed.Payload) != string(payload) {
				t.Errorf("the commit is signed by %q, %v, over\n%s\nand what was signed is\n%s", signed.Signature, err, signed.Payload, payload)
			}
		})
	}
}

// TestDraftSignedByAKey: what a key signs is good for git, and for who verifies here.
func TestDraftSignedByAKey(t *testing.T) {
	t.Parallel()
	_, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o := robot()
	signer, err := signature.NewSSHSigner(key.PEM(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Signer = signer
	d, err := f.fetch(branch("main")).Draft([]git.Edit{edit("a", "2")}, o)
	if err != nil {
		t.Fatal(err)
	}
	f.mustPush("main", d)
	public := ssh.MarshalAuthorizedKey(key.Public())
	trusted, err := signature.ReadKeys(map[string][]byte{"a.sshpub": public})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := f.fetch(branch("main")).Signed()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trusted.Verify(signed, time.Now()); err != nil || got != signer.ID() {
		t.Errorf("the commit is signed by %q, %v, want %q", got, err, signer.ID())
	}
	allowed := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(allowed, append([]byte("robot@example.com "), public...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Git("-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "main")
}
