// Package signature checks signatures of artifacts in OCI registries: those of cosign,
// by a key or by a certificate for an identity, and those of notation.
//
// It asks the registry through the session that pulls the artifact, and about a digest,
// never a tag. Whatever a registry sends counts for nothing until a key or an authority
// that the spec names vouches for it.
package signature

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci"
)

// Result is how a check ended that has not failed.
type Result int

const (
	// Verified means that there is a good signature.
	Verified Result = iota
	// Ignored means that the policy of the spec asks for none.
	Ignored
)

// String returns the name of the result.
func (r Result) String() string {
	if r == Ignored {
		return "Ignored"
	}
	return "Verified"
}

// maxSignatures bounds how many signatures of one digest are looked at.
const maxSignatures = 50

var (
	errUnsigned = errors.New("no signatures found")
	errNoMatch  = errors.New("no matching signatures")
)

// Verifiers check signatures. One for a process keeps what the public Sigstore
// instance vouches for.
type Verifiers struct{ public *publicRoot }

// Options are those of the process.
type Options struct {
	// RootDir is where the metadata of the public Sigstore instance is kept; empty
	// keeps it in memory.
	RootDir string
}

// New returns Verifiers. Nothing is fetched before it is needed.
func New(opts Options) *Verifiers {
	return &Verifiers{public: newPublicRoot(fetchPublicRoot(opts.RootDir))}
}

// method is a way to check one artifact.
type method interface {
	verify(ctx context.Context, s *oci.Session, digest v1.Hash) (Result, error)
}

// Verify checks whether a digest of a repository is signed as the spec of an object
// asks for. The Secrets are read beside the object.
func (v *Verifiers) Verify(ctx context.Context, secrets client.Reader, namespace string, spec *sourcev1.OCIRepositoryVerification, s *oci.Session, digest v1.Hash) (Result, error) {
	how, err := v.method(ctx, &secretReader{reader: secrets, namespace: namespace}, spec)
	if err == nil {
		var result Result
		if result, err = how.verify(ctx, s, digest); err == nil {
			return result, nil
		}
	}
	return 0, fmt.Errorf("failed to verify the signature using provider '%s': %w", providerName(spec), err)
}

// providerName is what users call the way in which a spec has signatures checked.
func providerName(spec *sourcev1.OCIRepositoryVerification) string {
	switch {
	case spec.Provider == sourcev1.OCIVerificationNotation:
		return "notation"
	case spec.SecretRef == nil:
		return "cosign keyless"
	default:
		return "cosign"
	}
}

// method reads from the Secrets of a spec whom to trust.
func (v *Verifiers) method(ctx context.Context, secrets *secretReader, spec *sourcev1.OCIRepositoryVerification) (method, error) {
	switch provider := spec.Provider; {
	case provider == sourcev1.OCIVerificationNotation:
		if spec.SecretRef == nil {
			return nil, errors.New("verify.secretRef has to name a Secret with the trust policy and certificates")
		}
		data, err := secrets.read(ctx, spec.SecretRef.Name)
		if err != nil {
			return nil, err
		}
		return newNotation(data, secrets.key(spec.SecretRef.Name))
	case provider != "" && provider != sourcev1.OCIVerificationCosign:
		return nil, fmt.Errorf("there is no provider %q", provider)
	case spec.SecretRef != nil:
		data, err := secrets.read(ctx, spec.SecretRef.Name)
		if err != nil {
			return nil, err
		}
		trust, err := newKeys(data, secrets.key(spec.SecretRef.Name))
		if err != nil {
			return nil, err
		}
		return cosign{trust}, nil
	}
	trust, err := v.keyless(ctx, secrets, spec)
	if err != nil {
		return nil, err
	}
	return cosign{trust}, nil
}

// secretReader reads Secrets of one namespace.
type secretReader struct {
	reader    client.Reader
	namespace string
}

func (r *secretReader) key(name string) string { return r.namespace + "/" + name }

func (r *secretReader) read(ctx context.Context, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	if err := r.reader.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, &secret); err != nil {
		return nil, fmt.Errorf("failed to get secret '%s': %w", r.key(name), err)
	}
	return secret.Data, nil
}
