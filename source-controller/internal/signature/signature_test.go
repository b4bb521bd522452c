package signature_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/source-controller/internal/signature"
	"weir.dev/source-controller/internal/signature/signaturetest"
)

const (
	repo     = "org/app"
	identity = "release@example.com"
	issuer   = "https://issuer.example.com"
)

// secrets are the Secrets of a namespace, by name.
type secrets map[string]map[string]string

func (s secrets) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	data, ok := s[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret := obj.(*corev1.Secret)
	secret.Data = make(map[string][]byte)
	for k, v := range data {
		secret.Data[k] = []byte(v)
	}
	return nil
}

func (s secrets) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists Secrets")
}

// world is a registry with one artifact.
type world struct {
	*ocitest.Registry
	digest, other v1.Hash // of the artifact, and of another one
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r := ocitest.Start(t, ocitest.Options{})
	return &world{
		Registry: r,
		digest:   r.Push(repo, "v1", ocitest.Files(map[string]string{"a": "1"})),
		other:    r.Push(repo, "v2", ocitest.Files(map[string]string{"a": "2"})),
	}
}

// verify checks the artifact with a session of its own.
func (w *world) verify(t *testing.T, s secrets, spec *sourcev1.OCIRepositoryVerification) (signature.Result, error) {
	t.Helper()
	parsed, err := oci.ParseURL(w.URL(repo))
	if err != nil {
		t.Fatal(err)
	}
	session, err := oci.NewClient(oci.Limits{}).Session(parsed, oci.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return signature.New(signature.Options{RootDir: t.TempDir()}).Verify(t.Context(), s, "ns", spec, session, w.digest)
}

func named(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

// expect fails the test if a check does not end as it has to. An empty text is success.
func expect(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("Verify = %v; want success", err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("Verify = %v; want an error that says %q", err, says)
	}
}

func TestCosignWithKeys(t *testing.T) {
	t.Parallel()
	good, bad := signaturetest.NewKey(t), signaturetest.NewKey(t)
	trusted := secrets{"keys": {"cosign.pub": good.Public()}}
	const failed = "failed to verify the signature using provider 'cosign': "
	tests := map[string]struct {
		why     string
		sign    func(w *world)
		secrets secrets
		says    string
	}{
		"old form":   {sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }},
		"new form":   {sign: func(w *world) { good.SignBundle(w.Registry, repo, w.digest) }},
		"unsigned":   {sign: func(*world) {}, says: failed + "no signatures found"},
		"old, other": {sign: func(w *world) { bad.Sign(w.Registry, repo, w.digest) }, says: failed + "no matching signatures: a signature is not by one of the keys"},
		"new, other": {sign: func(w *world) { bad.SignBundle(w.Registry, repo, w.digest) }, says: failed + "no matching signatures: a signature is not by one of the keys"},
		"one of two": {secrets: secrets{"keys": {"a.pub": bad.Public(), "b.pub": good.Public(), "readme": "no key"}}, sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }},
		"old beside": {why: "a bundle that does not count is no reason not to look further", sign: func(w *world) { bad.SignBundle(w.Registry, repo, w.digest); good.Sign(w.Registry, repo, w.digest) }},
		"new beside": {sign: func(w *world) { bad.Sign(w.Registry, repo, w.digest); good.SignBundle(w.Registry, repo, w.digest) }},
		"several": {sign: func(w *world) {
			bad.SignBundle(w.Registry, repo, w.digest)
			good.SignBundle(w.Registry, repo, w.digest)
		}},
		"of another": {why: "a good signature of another artifact", sign: func(w *world) { good.Sign(w.Registry, repo, w.other) }, says: "no signatures found"},
		"moved, old": {sign: func(w *world) { good.SignPayload(w.Registry, repo, w.digest, signaturetest.Payload(w.other)) }, says: "a signature is of another digest"},
		"moved, new": {sign: func(w *world) { good.SignStatement(w.Registry, repo, w.digest, signaturetest.Statement(w.other)) }, says: "no matching signatures"},
		"provenance": {
			why: "who has built it vouches for it, too",
			sign: func(w *world) {
				built := bytes.Replace(signaturetest.Statement(w.digest), []byte("https://sigstore.dev/cosign/sign/v1"), []byte("https://slsa.dev/provenance/v1"), 1)
				good.SignStatement(w.Registry, repo, w.digest, built)
			},
		},
		"a statement": {
			why: "that it was scanned does not say that it is good",
			sign: func(w *world) {
				scan := bytes.Replace(signaturetest.Statement(w.digest), []byte("https://sigstore.dev/cosign/sign/v1"), []byte("https://cosign.sigstore.dev/attestation/vuln/v1"), 1)
				good.SignStatement(w.Registry, repo, w.digest, scan)
			},
			says: "is no signature, but a statement of the type",
		},
		"no payload":    {sign: func(w *world) { good.SignPayload(w.Registry, repo, w.digest, []byte("garbage")) }, says: "no JSON"},
		"no signature":  {sign: func(w *world) { signaturetest.Attach(w.Registry, repo, w.digest, signaturetest.Payload(w.digest), nil) }, says: "no base64"},
		"garbage":       {sign: func(w *world) { signaturetest.AttachBundle(w.Registry, repo, w.digest, []byte("<html>")) }, says: "a bundle is not of a form that is known"},
		"empty bundle":  {sign: func(w *world) { signaturetest.AttachBundle(w.Registry, repo, w.digest, []byte("{}")) }, says: "a bundle is not of a form that is known"},
		"no key":        {secrets: secrets{"keys": {"cosign.key": good.Public()}}, sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }, says: "secret 'ns/keys' has no public key"},
		"broken key":    {secrets: secrets{"keys": {"cosign.pub": "hunter2"}}, sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }, says: `secret 'ns/keys': the value of "cosign.pub" is no PEM public key`},
		"no such":       {secrets: secrets{}, sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }, says: "failed to get secret 'ns/keys'"},
		"old, tampered": {sign: func(w *world) { good.Sign(w.Registry, repo, w.digest); tamper(w, "payload") }, says: "is not by one of the keys"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tc.sign(w)
			if tc.secrets == nil {
				tc.secrets = trusted
			}
			result, err := w.verify(t, tc.secrets, &sourcev1.OCIRepositoryVerification{Provider: sourcev1.OCIVerificationCosign, SecretRef: named("keys")})
			expect(t, err, tc.says)
			if result != signature.Verified {
				t.Errorf("Verify = %s; want Verified (%s)", result, tc.why)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a value of the Secret: %v", err)
			}
		})
	}
}

// tamper puts in place of an old signature's payload another that is about the same
// digest.
func tamper(w *world, what string) {
	tag := "sha256-" + w.digest.Hex + ".sig"
	m := w.Image(repo, tag)
	payload := append(signaturetest.Payload(w.digest), ' ')
	if what != "payload" {
		payload = signaturetest.Payload(w.other)
	}
	signaturetest.Attach(w.Registry, repo, w.digest, payload, m.Layers[0].Annotations)
}

func TestCosignWithIdentities(t *testing.T) {
	t.Parallel()
	instance, stranger := signaturetest.NewSigstore(t), signaturetest.NewSigstore(t)
	trusted := secrets{"root": {"trusted_root.json": instance.TrustedRoot(false)}}
	match := func(issuer, subject string) []sourcev1.OIDCIdentityMatch {
		return []sourcev1.OIDCIdentityMatch{{Issuer: issuer, Subject: subject}}
	}
	const failed = "failed to verify the signature using provider 'cosign keyless': "
	old := func(w *world) { instance.Sign(w.Registry, repo, w.digest, identity, issuer) }
	bundle := func(w *world) { instance.SignBundle(w.Registry, repo, w.digest, identity, issuer) }
	without := func(annotation string) func(w *world) {
		return func(w *world) {
			payload := signaturetest.Payload(w.digest)
			annotations := instance.Annotations(payload, identity, issuer)
			delete(annotations, annotation)
			signaturetest.Attach(w.Registry, repo, w.digest, payload, annotations)
		}
	}
	tests := map[string]struct {
		why        string
		sign       func(w *world)
		secrets    secrets
		identities []sourcev1.OIDCIdentityMatch
		says       string
	}{
		"old, matched":      {sign: old, identities: match(`^https://issuer\.example\.com$`, `^release@example\.com$`)},
		"new, matched":      {sign: bundle, identities: match(`^https://issuer\.example\.com$`, `^release@example\.com$`)},
		"anybody":           {why: "that is what an empty list means", sign: old},
		"new, anybody":      {sign: bundle},
		"one of two":        {sign: old, identities: append(match("x", "y"), match("issuer", "release")...)},
		"other subject":     {sign: old, identities: match("issuer", "^other@"), says: failed + "no matching signatures: "},
		"new, other":        {sign: bundle, identities: match("issuer", "^other@"), says: failed + "no matching signatures: "},
		"other issuer":      {sign: old, identities: match("^https://other", "release"), says: "no matching signatures: "},
		"halves of two":     {why: "both of one have to match", sign: old, identities: append(match("issuer", "^other@"), match("^https://other", "release")...), says: "no matching signatures: "},
		"bad expression":    {sign: old, identities: match("(", "release"), says: "verify.matchOIDCIdentity[0]"},
		"empty expression":  {sign: old, identities: match("", ""), says: "verify.matchOIDCIdentity[0]"},
		"unsigned":          {sign: func(*world) {}, says: failed + "no signatures found"},
		"other instance":    {sign: func(w *world) { stranger.Sign(w.Registry, repo, w.digest, identity, issuer) }, says: "no matching signatures: "},
		"new, other one":    {sign: func(w *world) { stranger.SignBundle(w.Registry, repo, w.digest, identity, issuer) }, says: "no matching signatures: "},
		"not in the log":    {sign: without("dev.sigstore.cosign/bundle"), says: "no matching signatures: "},
		"no certificate":    {sign: without("dev.sigstore.cosign/certificate"), says: "a signature has no certificate"},
		"by a key":          {sign: func(w *world) { signaturetest.NewKey(t).Sign(w.Registry, repo, w.digest) }, says: "a signature has no certificate"},
		"new, by a key":     {sign: func(w *world) { signaturetest.NewKey(t).SignBundle(w.Registry, repo, w.digest) }, says: "a signature has no certificate"},
		"tampered":          {sign: func(w *world) { old(w); tamper(w, "payload") }, says: "no matching signatures: "},
		"moved":             {sign: func(w *world) { old(w); tamper(w, "digest") }, says: "no matching signatures: "},
		"certificate log":   {why: "an instance that has one puts all certificates in it", sign: old, secrets: secrets{"root": {"trusted_root.json": instance.TrustedRoot(true)}}, says: "no matching signatures: "},
		"no such root":      {sign: old, secrets: secrets{}, says: "failed to get secret 'ns/root'"},
		"root without key":  {sign: old, secrets: secrets{"root": {"x": "y"}}, says: `secret 'ns/root' has no key "trusted_root.json"`},
		"root that is none": {sign: old, secrets: secrets{"root": {"trusted_root.json": "hunter2"}}, says: "is no trusted root of Sigstore"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tc.sign(w)
			if tc.secrets == nil {
				tc.secrets = trusted
			}
			_, err := w.verify(t, tc.secrets, &sourcev1.OCIRepositoryVerification{
				Provider: sourcev1.OCIVerificationCosign, TrustedRootSecretRef: named("root"), MatchOIDCIdentity: tc.identities,
			})
			expect(t, err, tc.says)
		})
	}
}

func TestNotation(t *testing.T) {
	t.Parallel()
	good, bad := signaturetest.NewNotary(t), signaturetest.NewStranger(t)
	trust := func(level string) secrets {
		return secrets{"notation": {"trustpolicy.json": signaturetest.Policy(level), "ca.crt": good.CA()}}
	}
	const failed = "failed to verify the signature using provider 'notation': "
	tests := map[string]struct {
		sign    func(w *world)
		secrets secrets
		want    signature.Result
		says    string
	}{
		"good":           {sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }, secrets: trust("strict")},
		"pem":            {sign: func(w *world) { good.Sign(w.Registry, repo, w.digest) }, secrets: secrets{"notation": {"trustpolicy.json": signaturetest.Policy("strict"), "x.pem": good.CA()}}},
		"several":        {sign: func(w *world) { bad.Sign(w.Registry, repo, w.digest); good.Sign(w.Registry, repo, w.digest) }, secrets: trust("strict")},
		"unsigned":       {sign: func(*world) {}, secrets: trust("strict"), says: failed + "no signatures found"},
		"skipped":        {sign: func(*world) {}, secrets: trust("skip"), want: signature.Ignored},
		"stranger":       {sign: func(w *world) { bad.Sign(w.Registry, repo, w.digest) }, secrets: trust("strict"), says: failed + "no matching signatures: "},
		"of another":     {sign: func(w *world) { good.SignFor(w.Registry, repo, w.other, w.digest) }, secrets: trust("strict"), says: "content descriptor mismatch"},
		"garbage":        {sign: func(w *world) { signaturetest.AttachNotation(w.Registry, repo, w.digest, []byte("garbage")) }, secrets: trust("strict"), says: "no matching signatures: "},
		"no policy":      {secrets: secrets{"notation": {"ca.crt": good.CA()}}, says: `secret 'ns/notation' has no key "trustpolicy.json"`},
		"bad policy":     {secrets: secrets{"notation": {"trustpolicy.json": "hunter2", "ca.crt": good.CA()}}, says: "is no trust policy"},
		"empty policy":   {secrets: secrets{"notation": {"trustpolicy.json": "{}", "ca.crt": good.CA()}}, says: `the value of "trustpolicy.json"`},
		"no certificate": {secrets: secrets{"notation": {"trustpolicy.json": signaturetest.Policy("strict"), "ca": good.CA()}}, says: "has no certificate"},
		"bad one":        {secrets: secrets{"notation": {"trustpolicy.json": signaturetest.Policy("strict"), "ca.crt": "hunter2"}}, says: `the value of "ca.crt" holds no PEM certificate`},
		"no such secret": {secrets: secrets{}, says: "failed to get secret 'ns/notation'"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.sign != nil {
				tc.sign(w)
			}
			result, err := w.verify(t, tc.secrets, &sourcev1.OCIRepositoryVerification{Provider: sourcev1.OCIVerificationNotation, SecretRef: named("notation")})
			expect(t, err, tc.says)
			if result != tc.want {
				t.Errorf("Verify = %s; want %s", result, tc.want)
			}
		})
	}
	_, err := newWorld(t).verify(t, nil, &sourcev1.OCIRepositoryVerification{Provider: sourcev1.OCIVerificationNotation})
	expect(t, err, "verify.secretRef has to name a Secret")
}

// TestRegistryThatFails: that a signature cannot be read is not that there is none, and
// never that it is good.
func TestRegistryThatFails(t *testing.T) {
	t.Parallel()
	key, notary := signaturetest.NewKey(t), signaturetest.NewNotary(t)
	specs := map[string]*sourcev1.OCIRepositoryVerification{
		"cosign":   {Provider: sourcev1.OCIVerificationCosign, SecretRef: named("keys")},
		"notation": {Provider: sourcev1.OCIVerificationNotation, SecretRef: named("notation")},
	}
	trusted := secrets{"keys": {"cosign.pub": key.Public()}, "notation": {"trustpolicy.json": signaturetest.Policy("strict"), "ca.crt": notary.CA()}}
	for name, spec := range specs {
		w := newWorld(t)
		key.Sign(w.Registry, repo, w.digest)
		key.SignBundle(w.Registry, repo, w.digest)
		notary.Sign(w.Registry, repo, w.digest)
		if _, err := w.verify(t, trusted, spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, kind := range []ocitest.Kind{ocitest.Referrers, ocitest.Manifest, ocitest.Blob} {
			w.Break(ocitest.Only(kind, ocitest.Status(http.StatusForbidden)))
			_, err := w.verify(t, trusted, spec)
			if err == nil || strings.Contains(err.Error(), "no signatures found") {
				t.Errorf("%s, request of kind %d refused: %v; want an error that says so", name, kind, err)
			}
			expect(t, err, "registry refuses access")
		}
	}
}
