package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/git"
	"weir.dev/pkg/git/signature"
	"weir.dev/pkg/gitserver"
)

// signatory is who signs commits and tags, and the keys that trust them.
func signatory(t *testing.T) (gitserver.Author, signature.Keys) {
	t.Helper()
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := signature.ReadKeys(map[string][]byte{"a.sshpub": ssh.MarshalAuthorizedKey(key.Public())})
	if err != nil {
		t.Fatal(err)
	}
	return gitserver.Author{Sign: func(payload []byte) (string, error) {
		s, err := sshsig.Sign(bytes.NewReader(payload), key.Signer(), sshsig.HashSHA512, "git")
		if err != nil {
			return "", err
		}
		return string(sshsig.Armor(s)), nil
	}}, trusted
}

func TestSignedCommit(t *testing.T) {
	t.Parallel()
	author, trusted := signatory(t)
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.CommitBy(author, "main", "signed", gitserver.File("a", "a"))
	signed, err := f.fetch(branch("main")).Signed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trusted.Verify(signed, time.Now()); err != nil {
		t.Errorf("a commit that was signed: %v", err)
	}
	r.Commit("main", "not signed", gitserver.File("a", "b"))
	if signed, err = f.fetch(branch("main")).Signed(); err != nil {
		t.Fatal(err)
	}
	if _, err := trusted.Verify(signed, time.Now()); !errors.Is(err, signature.ErrUnsigned) {
		t.Errorf("a commit that was not signed: %v", err)
	}
}

// A signature must be about the tree that is published, whoever reads the commit.
func TestSignedCommitWithAnotherTree(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	empty := r.WriteObject("tree", nil)
	evil := r.WriteObject("tree", []byte(treeEntry(t, "100644", "evil", r.WriteObject("blob", []byte("evil")))))
	const who = "me <me@example.com> 1704067200 +0000"
	header := fmt.Sprintf("tree %s\nauthor %s\ncommitter %s\n", empty, who, who)
	tests := map[string]struct{ why, commit string }{
		"another header": {
			why: "Git leaves it out of what is signed", commit: header + "gpgsig-sha256 x\n tree " + evil + "\n\nm\n",
		},
		"a second tree": {
			why: "others read the last one", commit: header + "tree " + evil + "\n\nm\n",
		},
		"a line that goes on": {
			why: "others take it for a header", commit: header + "note x\n tree " + evil + "\n\nm\n",
		},
	}
	for name, tc := range tests {
		branchName := strings.ReplaceAll(name, " ", "-")
		r.SetRef("refs/heads/"+branchName, r.WriteObject("commit", []byte(tc.commit)))
		snapshot, err := f.try(branch(branchName))
		if err != nil {
			continue // which is as good
		}
		if signed, err := snapshot.Signed(); err == nil && content(t, snapshot)["evil"] != "" {
			t.Errorf("%s: the tree with the file evil passes for signed as %q (%s)", name, signed.Payload, tc.why)
		}
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	author, trusted := signatory(t)
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		rev := r.Commit("main", "first", gitserver.File("a", noise(1, 5000)))
		r.TagBy(author, "v1", rev, "the first")
		f.fetch(git.Reference{Tag: "v1"})
		s.Counter.Reset()
		conn, target, err := f.resolve(git.Reference{Tag: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		tag, err := f.store().FetchTag(soon(t), conn, target)
		if err != nil {
			t.Fatal(err)
		}
		if signer, err := trusted.Verify(tag.Signed, time.Now()); err != nil || tag.Name != "v1" {
			t.Errorf("tag %q, signed by %q: %v; want v1, signed", tag.Name, signer, err)
		}
		if n := s.Counter.Counts().UploadPacks; n != 0 {
			t.Errorf("the tag came with its commit, and %d more packs were asked for", n)
		}
	})
}

// A tag that is put on a commit that is here already comes alone.
func TestTagOfKnownCommit(t *testing.T) {
	t.Parallel()
	author, trusted := signatory(t)
	s, r, f := serve(t, needs(t, gitserver.GitCommand))
	rev := r.Commit("main", "first", gitserver.File("a", noise(1, 50_000)))
	f.fetch(branch("main"))
	r.TagBy(author, "v1", rev, "the first")
	conn, target, err := f.resolve(git.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.store().HasTag(target); ok {
		t.Error("the store has a tag that was not fetched")
	}
	s.Counter.Reset()
	tag, err := f.store().FetchTag(soon(t), conn, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trusted.Verify(tag.Signed, time.Now()); err != nil {
		t.Error(err)
	}
	if n := s.Counter.Counts().Bytes; n > 5000 {
		t.Errorf("%d bytes came for a tag", n)
	}
	if _, ok := f.store().HasTag(target); !ok {
		t.Error("the store does not have a tag that was fetched")
	}
	if got := content(t, f.fetch(branch("main")))["a"]; got != noise(1, 50_000) {
		t.Error("the commit is not whole any more")
	}
}

// What the remote says of a tag must be so.
func TestTagOfAnotherCommit(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	first := r.Commit("main", "first", gitserver.File("a", "1"))
	second := r.Commit("main", "second", gitserver.File("a", "2"))
	r.TagAnnotated("v1", first, "the first")
	conn, target, err := f.resolve(git.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	target.Commit = hash(second)
	if got, err := f.store().FetchTag(soon(t), conn, target); !errors.Is(err, git.ErrProtocol) {
		t.Errorf("a tag of another commit than is advertised: %v, %v; want %v", got, err, git.ErrProtocol)
	}
}

// A tag of a tag is of a commit in the end.
func TestTagOfTag(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, needs(t, gitserver.GitCommand))
	inner := r.TagAnnotated("v1", r.Commit("main", "first", gitserver.File("a", "1")), "the first")
	outer := r.WriteObject("tag", []byte("object "+inner+"\ntype tag\ntag v1\ntagger me <me@example.com> 1704067200 +0000\n\nouter\n"))
	r.SetRef("refs/tags/v1", outer)
	conn, target, err := f.resolve(git.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.store().FetchTag(soon(t), conn, target); err != nil || got.Hash != hash(outer) {
		t.Errorf("a tag of a tag: %v, %v; want %s", got, err, outer)
	}
}
