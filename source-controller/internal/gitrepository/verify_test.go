package gitrepository_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

// signer is who signs commits and tags.
type signer struct {
	gitserver.Author
	file, key string // the public key, as a file of a Secret
	id        string // as conditions name it
}

// newPGPSigner makes an OpenPGP key.
func newPGPSigner(t *testing.T) signer {
	t.Helper()
	e, err := openpgp.NewEntity("weir", "", "weir@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var ring bytes.Buffer
	w, err := armor.Encode(&ring, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := signer{file: "weir.asc", key: ring.String(), id: e.PrimaryKey.KeyIdString()}
	s.Sign = func(payload []byte) (string, error) {
		var out bytes.Buffer
		err := openpgp.ArmoredDetachSign(&out, e, bytes.NewReader(payload), nil)
		return out.String(), err
	}
	return s
}

// newSSHSigner makes an SSH key.
func newSSHSigner(t *testing.T) signer {
	t.Helper()
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s := signer{file: "weir.sshpub", key: string(ssh.MarshalAuthorizedKey(key.Public())), id: ssh.FingerprintSHA256(key.Public())}
	s.Sign = func(payload []byte) (string, error) {
		made, err := sshsig.Sign(bytes.NewReader(payload), key.Signer(), sshsig.HashSHA512, "git")
		if err != nil {
			return "", err
		}
		return string(sshsig.Armor(made)), nil
	}
	return s
}

// trust creates a Secret with the keys of signers, and asks for their signature.
func (w *world) trust(name string, mode sourcev1.GitVerificationMode, who ...signer) *sourcev1.GitRepositoryVerification {
	w.t.Helper()
	files := make(map[string]string)
	for i, s := range who {
		files[fmt.Sprintf("%d-%s", i, s.file)] = s.key
	}
	return &sourcev1.GitRepositoryVerification{Mode: mode, SecretRef: *w.Secret(name, files)}
}

// mode is the mode that the status records.
func mode(repo *sourcev1.GitRepository) sourcev1.GitVerificationMode {
	if repo.Status.SourceVerificationMode == nil {
		return ""
	}
	return *repo.Status.SourceVerificationMode
}

func TestVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pgp, key := newPGPSigner(t), newSSHSigner(t)
	commit := w.repo.CommitBy(pgp.Author, "main", "first", gitserver.File("app.yaml", "kind: App\n"))
	tag := w.repo.TagBy(key.Author, "v1.0.0", commit, "the first")
	byCommit := fmt.Sprintf("\n\t- commit '%s' with key '%s'", commit, pgp.id)
	byTag := fmt.Sprintf("\n\t- tag 'v1.0.0@%s' with key '%s'", tag, key.id)
	const head, both = sourcev1.GitVerificationHEAD, sourcev1.GitVerificationTagAndHEAD
	tests := map[string]struct {
		why      string
		mode     sourcev1.GitVerificationMode
		ref      sourcev1.GitRepositoryRef
		label    string
		signed   string
		recorded sourcev1.GitVerificationMode
	}{
		"head":      {why: "HEAD is the default", ref: sourcev1.GitRepositoryRef{Branch: "main"}, label: "main@", signed: byCommit, recorded: head},
		"old-head":  {why: "old manifests have it", mode: "head", ref: sourcev1.GitRepositoryRef{Branch: "main"}, label: "main@", signed: byCommit, recorded: head},
		"commit":    {why: "it is signed, however it was found", mode: head, ref: sourcev1.GitRepositoryRef{Commit: commit}, signed: byCommit, recorded: head},
		"tag":       {why: "it has its own signature", mode: sourcev1.GitVerificationTag, ref: sourcev1.GitRepositoryRef{Tag: "v1.0.0"}, label: "v1.0.0@", signed: byTag, recorded: sourcev1.GitVerificationTag},
		"range":     {why: "it leads to a tag", mode: sourcev1.GitVerificationTag, ref: sourcev1.GitRepositoryRef{SemVer: "1.x"}, label: "v1.0.0@", signed: byTag, recorded: sourcev1.GitVerificationTag},
		"full-name": {why: "it is that of a tag", mode: sourcev1.GitVerificationTag, ref: sourcev1.GitRepositoryRef{Name: "refs/tags/v1.0.0"}, label: "refs/tags/v1.0.0@", signed: byTag, recorded: sourcev1.GitVerificationTag},
		"both":      {why: "the tag comes first", mode: both, ref: sourcev1.GitRepositoryRef{Tag: "v1.0.0"}, label: "v1.0.0@", signed: byTag + byCommit, recorded: both},
	}
	repos := make(map[string]*sourcev1.GitRepository)
	for name, tc := range tests {
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) {
			s.Reference, s.Verification = &tc.ref, w.trust(name, tc.mode, newPGPSigner(t), pgp, key)
		})
	}
	for name, tc := range tests {
		repo := repos[name]
		w.WaitPublished(repo, tc.label+"sha1:"+commit)
		c := conditions.Get(repo, sourcev1.ConditionSourceVerified)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason != sourcev1.ReasonSucceeded || c.Message != "verified signature of"+tc.signed {
			t.Errorf("%s: %+v; want it True with the message %q (%s)", name, c, "verified signature of"+tc.signed, tc.why)
		}
		if got := mode(repo); got != tc.recorded {
			t.Errorf("%s: the mode %q is recorded; want %q", name, got, tc.recorded)
		}
	}
}

// TestVerificationThatFails: what is published stays, and what is not signed is not.
func TestVerificationThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := newPGPSigner(t), newSSHSigner(t)
	const tagMode = sourcev1.GitVerificationTag
	tests := map[string]struct {
		why    string
		mode   sourcev1.GitVerificationMode
		tag    bool // it follows the range 1.x, and main otherwise
		reason string
		says   string
	}{
		"unsigned": {
			why: "anybody can have made it", reason: sourcev1.ReasonInvalidCommitSignature, says: "signature verification of commit '%s' failed: ",
		},
		"stranger": {
			why: "nobody knows who it is", reason: sourcev1.ReasonInvalidCommitSignature, says: "signature verification of commit '%s' failed: ",
		},
		"light-tag": {
			why: "it is only a name", mode: tagMode, tag: true, reason: sourcev1.ReasonInvalidGitObject,
			says: "cannot verify signature of tag 'v1.1.0@%s' since it is not signed",
		},
		"unsigned-tag": {
			why: "anybody can have made it", mode: tagMode, tag: true, reason: sourcev1.ReasonInvalidGitObject,
			says: "cannot verify signature of tag 'v1.1.0@%s' since it is not signed",
		},
		"strange-tag": {
			why: "nobody knows who it is", mode: tagMode, tag: true, reason: sourcev1.ReasonInvalidTagSignature,
			says: "signature verification of tag 'v1.1.0@%s' failed: ",
		},
		"old-tag": {
			why: "an old version must not pass for the newest", mode: tagMode, tag: true, reason: sourcev1.ReasonInvalidTagSignature,
			says: "signature verification of tag 'v1.0.0@%s' failed: ",
		},
	}
	// Each has a repository of its own, so that its refs move when it is time.
	repos := make(map[string]*sourcev1.GitRepository)
	for name, tc := range tests {
		r := w.git.Repo(name)
		first := r.CommitBy(good.Author, "main", "first", gitserver.File("app.yaml", "kind: App\n"))
		r.TagBy(good.Author, "v1.0.0", first, "the first")
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) {
			s.URL, s.Verification = w.git.URL(name), w.trust(name, tc.mode, good)
			if tc.tag {
				s.Reference = &sourcev1.GitRepositoryRef{SemVer: "1.x"}
			}
		})
	}
	for name, tc := range tests {
		repo, r := repos[name], w.git.Repo(name)
		w.WaitReady(repo)
		was := repo.Status.Artifact.DeepCopy()
		author := gitserver.Author{}
		if name == "stranger" {
			author = bad.Author
		}
		next := r.CommitBy(author, "main", "next", gitserver.File("app.yaml", "kind: Next\n"))
		object := next
		switch name {
		case "light-tag":
			r.Tag("v1.1.0", next)
		case "unsigned-tag":
			object = r.TagAnnotated("v1.1.0", next, "next")
		case "strange-tag":
			object = r.TagBy(bad.Author, "v1.1.0", next, "next")
		case "old-tag":
			ref, err := r.Ref("refs/tags/v1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			object = ref
			r.SetRef("refs/tags/v1.1.0", ref)
		}
		w.Again(repo)
		c := w.WaitCondition(repo, sourcev1.ConditionSourceVerified, metav1.ConditionFalse, tc.reason)
		if want := fmt.Sprintf(tc.says, object); !strings.HasPrefix(c.Message, want) {
			t.Errorf("%s: the condition says %q; want %q (%s)", name, c.Message, want, tc.why)
		}
		ready := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
		if ready.Message != c.Message {
			t.Errorf("%s: Ready says %q; want %q", name, ready.Message, c.Message)
		}
		if diff := cmp.Diff(was, repo.Status.Artifact); diff != "" {
			t.Errorf("%s: the artifact has changed (-was +is):\n%s", name, diff)
		}
		w.Download(repo)
		w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, c.Message)

		last := r.CommitBy(good.Author, "main", "last", gitserver.File("app.yaml", "kind: Last\n"))
		label := "main@sha1:"
		if tc.tag {
			label = "v1.2.0@sha1:"
			r.TagBy(good.Author, "v1.2.0", last, "last")
		}
		w.Poke(repo)
		w.WaitPublished(repo, label+last)
		w.expectHealed(repo, sourcev1.ConditionSourceVerified)
	}
}

func TestVerificationThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := newPGPSigner(t)
	rev := w.repo.CommitBy(good.Author, "main", "first", gitserver.File("app.yaml", "kind: App\n"))

	repo := w.source("branch", func(s *sourcev1.GitRepositorySpec) {
		s.Verification = w.trust("tag", sourcev1.GitVerificationTag, good)
	})
	w.WaitCondition(repo, sourcev1.ConditionStalled, metav1.ConditionTrue, sourcev1.ReasonInvalidVerificationMode)
	w.WaitCondition(repo, sourcev1.ConditionSourceVerified, metav1.ConditionFalse, sourcev1.ReasonInvalidVerificationMode)
	if repo.Status.Artifact != nil {
		t.Errorf("%s is published, and nothing was verified", repo.Status.Artifact.Revision)
	}
	w.Patch(repo, "test", "spec: {verify: {mode: HEAD}}")
	w.WaitPublished(repo, "main@sha1:"+rev)
	w.expectHealed(repo, sourcev1.ConditionSourceVerified)

	repo = w.source("no-secret", func(s *sourcev1.GitRepositorySpec) {
		s.Verification = &sourcev1.GitRepositoryVerification{SecretRef: meta.LocalObjectReference{Name: "none"}}
	})
	c := w.WaitCondition(repo, sourcev1.ConditionSourceVerified, metav1.ConditionFalse, sourcev1.ReasonVerificationError)
	if !strings.HasPrefix(c.Message, "public keys secret error: ") {
		t.Errorf("the condition says %q", c.Message)
	}
	w.trust("none", "", good)
	w.WaitPublished(repo, "main@sha1:"+rev)

	repo = w.source("no-key", func(s *sourcev1.GitRepositorySpec) { s.Verification = w.trust("empty", "") })
	c = w.WaitCondition(repo, sourcev1.ConditionSourceVerified, metav1.ConditionFalse, sourcev1.ReasonVerificationError)
	if !strings.HasPrefix(c.Message, "public keys secret error: ") {
		t.Errorf("the condition says %q", c.Message)
	}
	if repo.Status.Artifact != nil {
		t.Errorf("%s is published, and nothing was verified", repo.Status.Artifact.Revision)
	}
}

// TestVerificationOfWhatIsPublished: a commit that is here is not fetched again in order
// to verify it, and its archive is not made again.
func TestVerificationOfWhatIsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pgp, key := newPGPSigner(t), newSSHSigner(t)
	commit := w.repo.CommitBy(pgp.Author, "main", "first", gitserver.File("app.yaml", "kind: App\n"))
	w.repo.TagBy(key.Author, "v1.0.0", commit, "the first")
	repo := w.source("fleet", func(s *sourcev1.GitRepositorySpec) { s.Reference = &sourcev1.GitRepositoryRef{Tag: "v1.0.0"} })
	w.WaitPublished(repo, "v1.0.0@sha1:"+commit)
	was := repo.Status.Artifact.DeepCopy()
	w.trust("keys", "", pgp, key)
	w.git.Counter.Reset()
	for _, m := range []sourcev1.GitVerificationMode{"HEAD", "TagAndHEAD"} {
		w.Patch(repo, "test", fmt.Sprintf("spec: {verify: {mode: %s, secretRef: {name: keys}}}", m))
		w.WaitPublished(repo, "v1.0.0@sha1:"+commit)
		if got := mode(repo); got != m {
			t.Errorf("the mode %q is recorded; want %q", got, m)
		}
	}
	// What asks for less is verified already.
	w.Patch(repo, "test", "spec: {verify: {mode: Tag}}")
	w.WaitPublished(repo, "v1.0.0@sha1:"+commit)
	if n := w.git.Counter.Counts().UploadPacks; n != 0 {
		t.Errorf("%d packs were asked for, in order to verify what is here", n)
	}
	if diff := cmp.Diff(was, repo.Status.Artifact); diff != "" {
		t.Errorf("the artifact was made again (-was +is):\n%s", diff)
	}
	w.Patch(repo, "test", "spec: {verify: null}")
	w.Wait("nothing said about signatures", repo, func() bool {
		return repo.Status.SourceVerificationMode == nil && !conditions.Has(repo, sourcev1.ConditionSourceVerified) && conditions.IsReady(repo)
	})
}

// TestTagOnKnownCommit: the tag is fetched that a commit got when it was here already.
func TestTagOnKnownCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSSHSigner(t)
	commit := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	w.WaitPublished(w.source("branch"), "main@sha1:"+commit)
	w.repo.TagBy(key.Author, "v1.0.0", commit, "the first")
	repo := w.source("tag", func(s *sourcev1.GitRepositorySpec) {
		s.Reference, s.Verification = &sourcev1.GitRepositoryRef{Tag: "v1.0.0"}, w.trust("keys", sourcev1.GitVerificationTag, key)
	})
	w.WaitPublished(repo, "v1.0.0@sha1:"+commit)
}

// TestRotatedKeysAreNoChange: what was found signed by a key that was trusted then stays,
// at one request a poll; what comes next needs the new key.
func TestRotatedKeysAreNoChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, after := newPGPSigner(t), newPGPSigner(t)
	first := w.repo.CommitBy(before.Author, "main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", often, func(s *sourcev1.GitRepositorySpec) { s.Verification = w.trust("keys", "", before) })
	w.WaitPublished(repo, "main@sha1:"+first)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "keys"}}
	w.Patch(secret, "test", fmt.Sprintf("stringData: {0-weir.asc: %q}", after.key))
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()

	allow := w.Traffic.Forbid(testplane.Any)
	polls, remote, _ := w.fourPolls(repo)
	allow()
	if !about(remote.Advertisements, polls, 1) || remote.UploadPacks != 0 {
		t.Errorf("%d polls cost the remote %+v; want a request for refs each", polls, remote)
	}
	w.repo.CommitBy(before.Author, "main", "second", gitserver.File("app.yaml", "kind: Second\n"))
	w.WaitCondition(repo, sourcev1.ConditionSourceVerified, metav1.ConditionFalse, sourcev1.ReasonInvalidCommitSignature)
	third := w.repo.CommitBy(after.Author, "main", "third", gitserver.File("app.yaml", "kind: Third\n"))
	w.WaitPublished(repo, "main@sha1:"+third)
}
