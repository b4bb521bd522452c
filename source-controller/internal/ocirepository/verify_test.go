package ocirepository_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/source-controller/internal/signature/signaturetest"
)

// waitVerified waits until repo is published, and says that a revision is signed.
func (w *world) waitVerified(repo *sourcev1.OCIRepository, revision string) {
	w.t.Helper()
	w.WaitPublished(repo, revision)
	c := conditions.Get(repo, sourcev1.ConditionSourceVerified)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != sourcev1.ReasonSucceeded || c.Message != "verified signature of revision "+revision {
		w.t.Errorf("%s: SourceVerified is %v; want that %s is verified", repo.Name, c, revision)
	}
}

// TestUnsignedArtifactIsNotPublished, and the one before it stays.
func TestUnsignedArtifactIsNotPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := signaturetest.NewKey(t)
	digest := w.reg.Push(app, "latest", ocitest.Files(one("first")))
	first := "latest@" + digest.String()
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) {
		s.Verify = &sourcev1.OCIRepositoryVerification{
			Provider: sourcev1.OCIVerificationCosign, SecretRef: w.Secret("keys", map[string]string{"cosign.pub": key.Public()}),
		}
	})
	const unsigned = "failed to verify the signature using provider 'cosign': no signatures found"
	w.expectFailure(repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError, unsigned)
	if repo.Status.Artifact != nil || w.reg.Counts().Blobs > 0 {
		t.Errorf("an unsigned artifact was pulled: %v", repo.Status.Artifact)
	}
	w.WaitEvent(repo, corev1.EventTypeWarning, sourcev1.ReasonVerificationError, unsigned)
	key.Sign(w.reg, app, digest)
	w.waitVerified(repo, first)

	digest = w.reg.Push(app, "latest", ocitest.Files(one("second")))
	w.Poke(repo)
	w.expectFailure(repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError, unsigned)
	if got := w.Content(repo)["app.yaml"]; got != "first" {
		t.Errorf("app.yaml is %q; want that of the signed artifact", got)
	}
	key.SignBundle(w.reg, app, digest)
	w.waitVerified(repo, "latest@"+digest.String())

	// Another key is another spec: what is published has to be signed by that.
	other := signaturetest.NewKey(t)
	w.Secret("other", map[string]string{"other.pub": other.Public()})
	w.Patch(repo, "test", "spec: {verify: {provider: cosign, secretRef: {name: other}}}")
	w.expectFailure(repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError, "a signature is not by one of the keys")
	other.Sign(w.reg, app, digest)
	w.waitVerified(repo, "latest@"+digest.String())
}

func TestVerificationByOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	instance, notary := signaturetest.NewSigstore(t), signaturetest.NewNotary(t)
	digest := w.reg.Push(app, "latest", ocitest.Files(one("app")))
	instance.Sign(w.reg, app, digest, "release@example.com", "https://issuer.example.com")
	notary.Sign(w.reg, app, digest)
	revision := "latest@" + digest.String()
	root := w.Secret("root", map[string]string{"trusted_root.json": instance.TrustedRoot(false)})
	keyless := func(subject string) func(*sourcev1.OCIRepositorySpec) {
		return func(s *sourcev1.OCIRepositorySpec) {
			s.Verify = &sourcev1.OCIRepositoryVerification{
				Provider: sourcev1.OCIVerificationCosign, TrustedRootSecretRef: root,
				MatchOIDCIdentity: []sourcev1.OIDCIdentityMatch{{Issuer: `^https://issuer\.example\.com$`, Subject: subject}},
			}
		}
	}
	notation := func(name, level string) func(*sourcev1.OCIRepositorySpec) {
		return func(s *sourcev1.OCIRepositorySpec) {
			s.Verify = &sourcev1.OCIRepositoryVerification{
				Provider:  sourcev1.OCIVerificationNotation,
				SecretRef: w.Secret(name, map[string]string{"trustpolicy.json": signaturetest.Policy(level), "ca.crt": notary.CA()}),
			}
		}
	}
	w.waitVerified(w.source("keyless", keyless(`^release@example\.com$`)), revision)
	w.waitVerified(w.source("notation", notation("strict", "strict")), revision)
	w.expectFailure(w.source("stranger", keyless("^other@")), sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError,
		"failed to verify the signature using provider 'cosign keyless': no matching signatures: ")

	skipped := w.source("skipped", notation("skip", "skip"))
	w.WaitPublished(skipped, revision)
	if c := conditions.Get(skipped, sourcev1.ConditionSourceVerified); c != nil {
		t.Errorf("SourceVerified is %v where nothing was verified", c)
	}
}

// TestVerificationThatIsNotAskedForAnyMore leaves no word of it.
func TestVerificationThatIsNotAskedForAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revision := w.push("latest", one("app"))
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) {
		s.Verify = &sourcev1.OCIRepositoryVerification{
			Provider: sourcev1.OCIVerificationCosign, SecretRef: w.Secret("keys", map[string]string{"cosign.pub": signaturetest.NewKey(t).Public()}),
		}
	})
	w.expectFailure(repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError, "no signatures found")
	repo.SetManagedFields(nil)
	repo.Spec.Verify = nil
	w.update(repo)
	w.WaitPublished(repo, revision)
	if c := conditions.Get(repo, sourcev1.ConditionSourceVerified); c != nil {
		t.Errorf("SourceVerified is %v", c)
	}
	if c := conditions.Get(repo, meta.ReadyCondition); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("Ready is %v", c)
	}
}

// update writes the spec of repo over that of the API server.
func (w *world) update(repo *sourcev1.OCIRepository) {
	w.t.Helper()
	spec := repo.Spec
	w.Eventually("the spec is written", func() bool {
		w.Get(repo)
		repo.Spec = spec
		return w.Client.Update(w.t.Context(), repo) == nil
	})
}
