package git_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

func TestParseRefspec(t *testing.T) {
	t.Parallel()
	const rev = "1111111111111111111111111111111111111111"
	tests := map[string]struct {
		why  string
		text string
		want git.Refspec
		is   error
		says string
	}{
		"HEAD":             {text: "HEAD:refs/heads/x", want: git.Refspec{Source: "HEAD", Target: "refs/heads/x"}},
		"a branch":         {text: "refs/heads/main:refs/heads/other", want: git.Refspec{Source: "refs/heads/main", Target: "refs/heads/other"}},
		"force":            {text: "+refs/heads/main:refs/heads/a/b", want: git.Refspec{Source: "refs/heads/main", Target: "refs/heads/a/b", Force: true}},
		"Gerrit":           {text: "HEAD:refs/for/main", want: git.Refspec{Source: "HEAD", Target: "refs/for/main"}},
		"a commit":         {text: rev + ":refs/heads/x", want: git.Refspec{Source: rev, Target: "refs/heads/x"}},
		"no target":        {text: "refs/heads/main", is: git.ErrInvalidReference, says: "<source>:<target>"},
		"empty":            {text: "", is: git.ErrInvalidReference},
		"two colons":       {text: "HEAD:refs/heads/a:refs/heads/b", is: git.ErrInvalidReference},
		"a deletion":       {text: ":refs/heads/x", is: git.ErrInvalidReference, says: "deletes"},
		"patterns":         {text: "refs/heads/*:refs/heads/x/*", is: git.ErrInvalidReference, says: "several"},
		"a short source":   {why: "of which there may be a branch and a tag", text: "main:refs/heads/x", is: git.ErrInvalidReference, says: "source"},
		"a short target":   {text: "HEAD:x", is: git.ErrInvalidReference, says: "target"},
		"an empty target":  {text: "HEAD:", is: git.ErrInvalidReference, says: "target"},
		"a target of refs": {text: "HEAD:refs/", is: git.ErrInvalidReference, says: "target"},
		"HEAD as a target": {text: "HEAD:HEAD", is: git.ErrInvalidReference, says: "target"},
		"a line break":     {text: "HEAD:refs/heads/x\ny", is: git.ErrInvalidReference, says: "target"},
		"a dot dot":        {text: "HEAD:refs/heads/../x", is: git.ErrInvalidReference, says: "target"},
		"a lock":           {text: "HEAD:refs/heads/x.lock", is: git.ErrInvalidReference, says: "target"},
		"a long one":       {text: "HEAD:refs/heads/" + strings.Repeat("x", 2000), is: git.ErrInvalidReference, says: "target"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := git.ParseRefspec(tc.text)
			if tc.is != nil {
				silent(t, err, tc.is, tc.says)
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v (%s) (-want +got):\n%s", err, tc.why, diff)
			}
			if got.String() != tc.text {
				t.Errorf("it is written as %q, want %q", got, tc.text)
			}
		})
	}
}

// FuzzRefspec: what is accepted can be sent, and means what it says.
func FuzzRefspec(f *testing.F) {
	for _, seed := range []string{"HEAD:refs/heads/x", "+refs/heads/main:refs/for/main", ":refs/heads/x", "a:b", "refs/heads/*:refs/*", "HEAD:refs/heads/@{x}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := git.ParseRefspec(text)
		if err != nil {
			if !errors.Is(err, git.ErrInvalidReference) || len(err.Error()) > 5000 {
				t.Errorf("%.200q: %v", text, err)
			}
			return
		}
		if spec.String() != text || strings.ContainsAny(spec.Target.String(), " \n\x00:*") || !strings.HasPrefix(spec.Target.String(), "refs/") {
			t.Errorf("%q is read as %+v", text, spec)
		}
	})
}

// FuzzReceiving: whatever a remote begins with, a push to it can be written.
func FuzzReceiving(f *testing.F) {
	const rev = "1111111111111111111111111111111111111111"
	for _, text := range []string{
		"", "0000", "0004", "ffff", "0010ERR go away\n",
		"00b00000000000000000000000000000000000000000 capabilities^{}\x00report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=git/2.39.5\n0000",
		"001f# service=git-receive-pack\n0000008e" + rev + " refs/heads/main\x00report-status side-band-64k quiet atomic push-options ofs-delta\n003f" + rev + " refs/heads/other\n0032" + rev + " .have\n0000",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := git.ReadReceiving(bytes.NewReader(data), 1<<16)
		if err != nil && !errors.Is(err, git.ErrTooLarge) && !errors.Is(err, git.ErrProtocol) {
			t.Errorf("an error of no kind: %v", err)
		}
		for name, hash := range refs {
			if hash.IsZero() || name == ".have" {
				t.Errorf("%q is at %s", name, hash)
			}
		}
	})
}

// FuzzVerdict: whatever a remote answers to a push, it does not pass for success unless it
// says so, and errors show what can be shown.
func FuzzVerdict(f *testing.F) {
	for _, text := range []string{
		"000eunpack ok\n0017ok refs/heads/main\n0000", "000eunpack ok\n0025ng refs/heads/main hook declined\n0000", "0010ERR go away\n", "0000", "",
		"0030\x01000eunpack ok\n0017ok refs/heads/main\n00000000", "000a\x02hello\x1b[0000", "0008\x03bad", "0005\x04",
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, banded bool) {
		err := git.JudgeVerdict(bytes.NewReader(data), banded, "refs/heads/main")
		switch {
		case err == nil && !banded && !bytes.Contains(data, []byte("ok refs/heads/main")):
			t.Errorf("%q passes for success", data)
		case err == nil:
		case !errors.Is(err, git.ErrProtocol) && !errors.Is(err, git.ErrRefused) && !errors.Is(err, git.ErrTooLarge):
			t.Errorf("an error of no kind: %v", err)
		case strings.ContainsAny(err.Error(), "\x1b\x00\r") || len(err.Error()) > 5000:
			t.Errorf("an error that cannot be shown: %q", err)
		}
	})
}

// FuzzTree: a tree that can be read is written as it was.
func FuzzTree(f *testing.F) {
	hash := strings.Repeat("h", 20)
	for _, text := range []string{"", "100644 a\x00" + hash, "40000 d\x00" + hash + "100755 e\x00" + hash, "100644 a", "100644 \x00" + hash, "x y\x00" + hash} {
		f.Add([]byte(text), "new")
	}
	f.Fuzz(func(t *testing.T, tree []byte, name string) {
		same, err := git.RewriteTree(tree, "")
		if err != nil {
			return
		}
		if !bytes.Equal(same, tree) {
			t.Errorf("%q is written as %q", tree, same)
		}
		if name == "" || strings.ContainsAny(name, "\x00") {
			return
		}
		with, err := git.RewriteTree(tree, name)
		if grown := len(with) - len(tree); err == nil && grown != 0 && grown != len("100644 \x00")+len(name)+len(hash) {
			t.Errorf("with %q, %q is written as %q", name, tree, with)
		}
	})
}

// TestRefsTell: callers compare where refs are.
func TestRefsTell(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	rev := r.Commit("main", "one", gitserver.File("a", "1"))
	conn, err := f.dial()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := conn.Refs.Tip("refs/heads/main"); !ok || got != hash(rev) {
		t.Errorf("main is at %s, %t, want %s", got, ok, rev)
	}
	if got, ok := conn.Refs.Tip("refs/heads/other"); ok || !got.IsZero() {
		t.Errorf("a branch that is not there is at %s", got)
	}
}
