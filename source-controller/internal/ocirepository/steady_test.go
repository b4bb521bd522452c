package ocirepository_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/signature/signaturetest"
)

func TestPollCostsOneHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why         string
		ref         *sourcev1.OCIRepositoryRef
		digest      bool
		heads, tags int // requests to the registry a poll
	}{
		"a tag":    {ref: &sourcev1.OCIRepositoryRef{Tag: "1.0.0"}, heads: 1},
		"a range":  {why: "the tag may have been moved", ref: &sourcev1.OCIRepositoryRef{SemVer: "1.x"}, heads: 1, tags: 1},
		"a digest": {why: "it cannot mean another", digest: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			digest := w.reg.Push(app, "1.0.0", ocitest.Files(one("kind: App\n")))
			if tc.digest {
				tc.ref = &sourcev1.OCIRepositoryRef{Digest: digest.String()}
			}
			repo := w.source("app", often, func(s *sourcev1.OCIRepositorySpec) { s.Reference = tc.ref })
			w.WaitReady(repo)
			w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
			w.Settle()

			allow := w.Traffic.Forbid(testplane.Any)
			polls, asked, _ := w.fourPolls(repo)
			allow()
			if !about(asked.Heads, polls, tc.heads) || !about(asked.Tags, polls, tc.tags) || asked.Sum() != asked.Heads+asked.Tags {
				t.Errorf("%d polls cost the registry %+v; want %d HEADs and %d lists each, and no other (%s)", polls, asked, tc.heads, tc.tags, tc.why)
			}
		})
	}
}

// TestPollOfASignedArtifact checks no signature again, and reads no key.
func TestPollOfASignedArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digest := w.reg.Push(app, "latest", ocitest.Files(one("kind: App\n")))
	key := signaturetest.NewKey(t)
	key.Sign(w.reg, app, digest)
	repo := w.source("app", often, func(s *sourcev1.OCIRepositorySpec) {
		s.Verify = &sourcev1.OCIRepositoryVerification{
			Provider: sourcev1.OCIVerificationCosign, SecretRef: w.Secret("keys", map[string]string{"cosign.pub": key.Public()}),
		}
	})
	w.WaitReady(repo)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()
	allow := w.Traffic.Forbid(testplane.Any)
	polls, asked, _ := w.fourPolls(repo)
	allow()
	if !about(asked.Heads, polls, 1) || asked.Sum() != asked.Heads {
		t.Errorf("%d polls cost the registry %+v; want one HEAD each", polls, asked)
	}
}

// TestPollWithSecretsAsksNothing: what was read is followed, and the login is kept.
func TestPollWithSecretsAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reg = ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true})
	w.push("latest", one("kind: App\n"))
	repo := w.source("app", often, func(s *sourcev1.OCIRepositorySpec) {
		s.SecretRef = w.dockerSecret("login", w.reg, user, wrong)
		s.ServiceAccountName = w.account("puller", w.dockerSecret("pull", w.reg, user, wrong))
	})
	w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactPullFailed, "refuses access")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "login"}}
	w.Patch(secret, "test", "stringData: {.dockerconfigjson: '"+w.reg.DockerConfig(user, password)+"'}")
	w.WaitReady(repo)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()

	allow := w.Traffic.Forbid(testplane.Any)
	polls, asked, _ := w.fourPolls(repo)
	allow()
	if !about(asked.Heads, polls, 1) || asked.Sum() != asked.Heads {
		t.Errorf("%d polls cost the registry %+v; want one HEAD each", polls, asked)
	}
}

// TestRestartPullsNothing: what is in the storage is looked at, and the tag.
func TestRestartPullsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revision := w.push("latest", one("kind: App\n"))
	repo := w.source("app")
	w.WaitPublished(repo, revision)
	w.Settle()
	before := w.reg.Counts()
	w.Restart()
	w.Again(repo)
	w.WaitPublished(repo, revision)
	asked := w.reg.Counts().Minus(before)
	if asked.Manifests+asked.Blobs > 0 || asked.Heads == 0 || asked.Pings != 1 {
		t.Errorf("after a restart, the registry was asked %+v; want one ping, and HEADs", asked)
	}
}

// TestNewTagCostsOnePull of what is new.
func TestNewTagCostsOnePull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo := w.source("app")
	w.WaitPublished(repo, w.push("latest", one("kind: First\n")))
	w.Settle()
	before := w.reg.Counts()
	second := w.push("latest", one("kind: Second\n"))
	w.Poke(repo)
	w.WaitPublished(repo, second)
	w.WaitHandled(repo)
	if diff := cmp.Diff(ocitest.Counts{Heads: 1, Manifests: 1, Blobs: 1}, w.reg.Counts().Minus(before)); diff != "" {
		t.Errorf("a new artifact cost (-want +got):\n%s", diff)
	}
	if got := w.Content(repo)["app.yaml"]; got != "kind: Second\n" {
		t.Errorf("app.yaml is %q", got)
	}
}
