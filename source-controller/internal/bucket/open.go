package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/oauth2"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/source-controller/internal/bucket/azure"
	"weir.dev/source-controller/internal/bucket/gcs"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/bucket/s3"
)

// loginTimeout bounds one request to a service that gives out tokens.
const loginTimeout = 30 * time.Second

// fingerprint tells whether a connection that was made before will do.
func (a access) fingerprint() string {
	spec := a.bucket.Spec
	h := sha256.New()
	part := func(text string) { fmt.Fprintf(h, "%d:%s", len(text), text) }
	for _, text := range []string{
		string(spec.Provider), spec.BucketName, spec.Endpoint, spec.Region, fmt.Sprint(spec.Insecure, a.secret == nil), spec.ServiceAccountName,
		a.trust.Fingerprint(), a.proxy.Fingerprint(), a.user.Username.Reveal(), a.user.Password.Reveal(), a.stsTrust.Fingerprint(), a.identity,
	} {
		part(text)
	}
	if spec.STS != nil {
		part(string(spec.STS.Provider))
		part(spec.STS.Endpoint)
	}
	for _, key := range slices.Sorted(maps.Keys(a.secret)) {
		part(key)
		part(string(a.secret[key]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// identify tells the credentials that come from no Secret, by what they are now, so that
// others are noticed.
func (r *Reconciler) identify(ctx context.Context, a access) (string, error) {
	switch a.bucket.Spec.Provider {
	case sourcev1.BucketProviderGCP:
		token, err := r.googleToken(ctx, a)
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	case sourcev1.BucketProviderAzure:
		credential, err := r.identities.Blobs(whose(a.bucket), a.proxy)
		if err != nil {
			return "", err
		}
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azure.Scope}})
		return token.Token, err
	default:
		keys, err := r.awsKeys(ctx, a)
		return keys.Access.Reveal() + keys.Session.Reveal(), err
	}
}

func (r *Reconciler) googleToken(ctx context.Context, a access) (*oauth2.Token, error) {
	source, err := r.identities.GCS(ctx, whose(a.bucket), a.proxy)
	if err != nil {
		return nil, err
	}
	return source.Token()
}

func (r *Reconciler) awsKeys(ctx context.Context, a access) (s3.Keys, error) {
	spec := a.bucket.Spec
	region, sts := spec.Region, ""
	if region == "" {
		region = s3.RegionOf(spec.Endpoint)
	}
	if spec.STS != nil {
		sts = spec.STS.Endpoint
	}
	keys, err := r.identities.S3(ctx, whose(a.bucket), region, sts, a.proxy)
	return s3.Keys{Access: keys.Access, Secret: keys.Secret, Session: keys.Session, Ends: keys.Ends}, err
}

// open opens a bucket.
func (r *Reconciler) open(a access) (*connection, error) {
	transport := objects.NewTransport(a.trust, a.proxy)
	tokens := objects.NewTransport(a.stsTrust, a.proxy)
	var opened storage
	var err error
	switch a.bucket.Spec.Provider {
	case sourcev1.BucketProviderGCP:
		opened, err = r.openGCS(a, transport, tokens)
	case sourcev1.BucketProviderAzure:
		opened, err = r.openAzure(a, transport, tokens)
	default:
		opened, err = r.openS3(a, transport, tokens)
	}
	if err != nil {
		return nil, err
	}
	return &connection{storage: opened, close: func() { transport.Close(); tokens.Close() }}, nil
}

func (r *Reconciler) openS3(a access, transport, tokens *objects.Transport) (storage, error) {
	spec := a.bucket.Spec
	login := s3.Anonymous()
	switch {
	case a.secret != nil:
		access, secret := string(a.secret["accesskey"]), string(a.secret["secretkey"])
		if access == "" || secret == "" {
			return nil, fmt.Errorf("invalid '%s' secret data: required fields 'accesskey' and 'secretkey'", spec.SecretRef.Name)
		}
		login = s3.Static(creds.Hide(access), creds.Hide(secret))
	case spec.Provider == sourcev1.BucketProviderAWS:
		login = s3.Temporary(func(ctx context.Context) (s3.Keys, error) { return r.awsKeys(ctx, a) })
	case spec.STS != nil:
		login = s3.LDAP(spec.STS.Endpoint, a.user, loginClient(tokens))
	}
	return s3.Open(s3.Options{
		Endpoint: spec.Endpoint, Bucket: spec.BucketName, Region: spec.Region, Insecure: spec.Insecure, Login: login, Transport: transport,
	})
}

func (r *Reconciler) openGCS(a access, transport, tokens *objects.Transport) (storage, error) {
	spec := a.bucket.Spec
	login := gcs.Identity(func(ctx context.Context) (*oauth2.Token, error) { return r.googleToken(ctx, a) })
	if a.secret != nil {
		key := a.secret["serviceaccount"]
		if len(key) == 0 {
			return nil, fmt.Errorf("invalid '%s' secret data: required fields 'serviceaccount'", spec.SecretRef.Name)
		}
		var err error
		if login, err = gcs.ServiceAccount(key, loginClient(tokens)); err != nil {
			return nil, fmt.Errorf("invalid '%s' secret data: 'serviceaccount': %w", spec.SecretRef.Name, err)
		}
	}
	return gcs.Open(gcs.Options{Endpoint: spec.Endpoint, Bucket: spec.BucketName, Insecure: spec.Insecure, Login: login, Transport: transport})
}

func (r *Reconciler) openAzure(a access, transport, tokens *objects.Transport) (storage, error) {
	spec := a.bucket.Spec
	var login azure.Login
	if a.secret != nil {
		var err error
		if login, err = azure.FromSecret(a.secret, loginClient(tokens)); err != nil {
			return nil, fmt.Errorf("invalid '%s' secret data: %w", spec.SecretRef.Name, err)
		}
	} else {
		credential, err := r.identities.Blobs(whose(a.bucket), a.proxy)
		if err != nil {
			return nil, err
		}
		login = azure.Identity(credential)
	}
	return azure.Open(azure.Options{Endpoint: spec.Endpoint, Container: spec.BucketName, Login: login, Transport: transport})
}

// loginClient asks for tokens.
func loginClient(t *objects.Transport) *http.Client {
	c := t.Client()
	c.Timeout = loginTimeout
	return c
}
