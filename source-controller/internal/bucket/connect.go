package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/bucket/objects"
)

// connect reads what the storage is reached with, and opens the bucket. The storage is
// not asked yet.
func (r *Reconciler) connect(ctx context.Context, s *scope) error {
	b := s.bucket
	if err := checkSTS(b.Spec); err != nil {
		return loop.Stall(sourcev1.ReasonInvalidSTSConfiguration, err)
	}
	if err := checkSTSEndpoint(b.Spec.STS); err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	ctx, cancel := s.besides(ctx) // a service that gives out identities is asked here
	defer cancel()
	a, err := r.access(ctx, b)
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(sourcev1.ReasonFeatureGateDisabled, err)
	case err != nil:
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	conn, err := r.connections.get(b.UID, a.fingerprint(), func() (*connection, error) { return r.open(a) })
	switch {
	case errors.Is(err, objects.ErrInvalid):
		return loop.Stall(sourcev1.ReasonBucketOperationFailed, err)
	case err != nil:
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	s.storage = conn
	s.origin = strings.Join([]string{string(b.Spec.Provider), b.Spec.Endpoint, b.Spec.BucketName}, "\n")
	if s.folder, err = r.mirror.Folder(b.Namespace, b.Name); err != nil {
		return loop.Fail(sourcev1.ReasonInvalidPath, err)
	}
	return nil
}

// checkSTS refuses a token service that does not go with the storage. The API server
// does so too, where it validates.
func checkSTS(spec sourcev1.BucketSpec) error {
	sts := spec.STS
	switch {
	case sts == nil:
		return nil
	case spec.Provider != sourcev1.BucketProviderAWS && spec.Provider != sourcev1.BucketProviderGeneric:
		return errors.New("STS configuration is only supported for the 'aws' and 'generic' Bucket providers")
	case spec.Provider == sourcev1.BucketProviderAWS && sts.Provider != sourcev1.STSProviderAWS:
		return errors.New("'aws' is the only supported STS provider for the 'aws' Bucket provider")
	case spec.Provider == sourcev1.BucketProviderGeneric && sts.Provider != sourcev1.STSProviderLDAP:
		return errors.New("'ldap' is the only supported STS provider for the 'generic' Bucket provider")
	case sts.Provider == sourcev1.STSProviderAWS && sts.SecretRef != nil:
		return errors.New("spec.sts.secretRef is not required for the 'aws' STS provider")
	case sts.Provider == sourcev1.STSProviderAWS && sts.CertSecretRef != nil:
		return errors.New("spec.sts.certSecretRef is not required for the 'aws' STS provider")
	case sts.Provider == sourcev1.STSProviderLDAP && sts.SecretRef == nil:
		return errors.New("spec.sts.secretRef is required for the 'ldap' STS provider")
	}
	return nil
}

func checkSTSEndpoint(sts *sourcev1.BucketSTSSpec) error {
	if sts == nil {
		return nil
	}
	u, err := url.Parse(sts.Endpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("failed to parse STS endpoint: spec.sts.endpoint is not an http or https URL") // which may hold a password
	}
	return nil
}

// access is what a storage is reached with.
type access struct {
	bucket *sourcev1.Bucket
	secret map[string][]byte // of spec.secretRef; nil if there is none
	trust  creds.TLS
	proxy  creds.Proxy

	user     creds.Basic // of spec.sts
	stsTrust creds.TLS

	identity string // tells the credentials that come from no Secret
}

// access reads the Secrets of a Bucket, or finds out who it is without.
func (r *Reconciler) access(ctx context.Context, b *sourcev1.Bucket) (access, error) {
	a := access{bucket: b}
	var err error
	if a.secret, err = r.secret(ctx, b, b.Spec.SecretRef); err != nil {
		return access{}, err
	}
	if ref := b.Spec.ProxySecretRef; ref != nil {
		data, err := r.secret(ctx, b, ref)
		if err != nil {
			return access{}, err
		}
		if a.proxy, err = creds.NewProxy(data, b.Namespace+"/"+ref.Name); err != nil {
			return access{}, err
		}
	}
	if speaksS3(b.Spec.Provider) {
		if a.trust, err = r.trust(ctx, b, b.Spec.CertSecretRef); err != nil {
			return access{}, err
		}
	}
	if sts := b.Spec.STS; sts != nil && sts.Provider == sourcev1.STSProviderLDAP {
		if err := r.stsAccess(ctx, &a, sts); err != nil {
			return access{}, err
		}
	}
	if a.secret == nil && b.Spec.Provider != sourcev1.BucketProviderGeneric {
		if a.identity, err = r.identify(ctx, a); err != nil {
			return access{}, fmt.Errorf("getting an identity of provider '%s': %w", b.Spec.Provider, objects.Clean(err))
		}
	}
	return a, nil
}

// stsAccess reads the Secrets of a token service.
func (r *Reconciler) stsAccess(ctx context.Context, a *access, sts *sourcev1.BucketSTSSpec) error {
	data, err := r.secret(ctx, a.bucket, sts.SecretRef)
	if err != nil {
		return err
	}
	a.user, err = creds.NewBasic(data, a.bucket.Namespace+"/"+sts.SecretRef.Name)
	if err != nil || a.user.Empty() {
		return fmt.Errorf("invalid '%s' secret data for '%s' STS provider: required fields 'username' and 'password'", sts.SecretRef.Name, sts.Provider)
	}
	a.stsTrust, err = r.trust(ctx, a.bucket, sts.CertSecretRef)
	return err
}

// trust reads a Secret for TLS.
func (r *Reconciler) trust(ctx context.Context, b *sourcev1.Bucket, ref *meta.LocalObjectReference) (creds.TLS, error) {
	data, err := r.secret(ctx, b, ref)
	if err != nil || data == nil {
		return creds.TLS{}, err
	}
	t, err := creds.NewTLS(data, b.Namespace+"/"+ref.Name)
	if err == nil && len(t.Legacy) > 0 {
		log.FromContext(ctx).V(1).Info("the secret has keys of old names", "secret", ref.Name, "keys", t.Legacy)
	}
	return t, err
}

// secret returns the data of a Secret, nil if there is no reference.
func (r *Reconciler) secret(ctx context.Context, b *sourcev1.Bucket, ref *meta.LocalObjectReference) (map[string][]byte, error) {
	if ref == nil {
		return nil, nil
	}
	key := client.ObjectKey{Namespace: b.Namespace, Name: ref.Name}
	var secret corev1.Secret
	if err := r.secrets.For(b).Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("failed to get secret '%s': %w", key, err)
	}
	if secret.Data == nil {
		return map[string][]byte{}, nil
	}
	return secret.Data, nil
}

// speaksS3 reports whether a storage is spoken to by the protocol of S3.
func speaksS3(p sourcev1.BucketProvider) bool {
	return p == sourcev1.BucketProviderGeneric || p == sourcev1.BucketProviderAWS
}
