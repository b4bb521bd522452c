package cloud_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/fluxcd/pkg/auth/aws"
	"github.com/fluxcd/pkg/auth/azure"
	"github.com/fluxcd/pkg/auth/gcp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds/cloud"
)

// plane is an API server with ServiceAccounts and nothing else.
type plane struct {
	client.Client
	mu       sync.Mutex
	accounts map[client.ObjectKey]corev1.ServiceAccount
	reads    int
	tokens   []string // what for, and for whom
}

func (p *plane) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	account, ok := p.accounts[key]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, key.Name)
	}
	account.DeepCopyInto(obj.(*corev1.ServiceAccount))
	return nil
}

func (p *plane) SubResource(name string) client.SubResourceClient { return maker{plane: p, name: name} }

// maker makes tokens of ServiceAccounts.
type maker struct {
	client.SubResourceClient
	plane *plane
	name  string
}

func (m maker) Create(_ context.Context, obj, sub client.Object, _ ...client.SubResourceCreateOption) error {
	request := sub.(*authv1.TokenRequest)
	m.plane.mu.Lock()
	defer m.plane.mu.Unlock()
	m.plane.tokens = append(m.plane.tokens, fmt.Sprintf("%s of %s/%s for %s", m.name, obj.GetNamespace(), obj.GetName(), request.Spec.Audiences))
	request.Status.Token = "kubernetes-value-of-" + obj.GetName()
	return nil
}

// clouds are all of them. Each hands out tokens that are numbered.
type clouds struct {
	mu    sync.Mutex
	life  time.Duration
	asked []string
	wrong error                       // what is answered instead
	hang  func(context.Context) error // what happens before an answer
}

// next counts a token, and says who asks for it.
func (c *clouds) next(ctx context.Context, who string) (int, error) {
	if c.hang != nil {
		if err := c.hang(ctx); err != nil {
			return 0, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, who)
	return len(c.asked), c.wrong
}

func (c *clouds) ends() time.Time { return time.Now().Add(c.life) }

type fakeAWS struct {
	aws.Implementation
	*clouds
}

func (f fakeAWS) LoadDefaultConfig(_ context.Context, opts ...func(*config.LoadOptions) error) (awssdk.Config, error) {
	var o config.LoadOptions
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return awssdk.Config{}, err
		}
	}
	return awssdk.Config{Credentials: awssdk.CredentialsProviderFunc(func(ctx context.Context) (awssdk.Credentials, error) {
		n, err := f.next(ctx, "controller in "+o.Region)
		return awssdk.Credentials{AccessKeyID: fmt.Sprint("key-", n), SecretAccessKey: "secret-value", SessionToken: "session-value", Expires: f.ends(), CanExpire: true}, err
	})}, nil
}

func (f fakeAWS) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, opts sts.Options) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	n, err := f.next(ctx, fmt.Sprintf("%s as %s by %s in %s", *in.RoleArn, *in.RoleSessionName, *in.WebIdentityToken, opts.Region))
	if err != nil {
		return nil, err
	}
	key, secret, session, ends := fmt.Sprint("key-", n), "secret-value", "session-value", f.ends()
	return &sts.AssumeRoleWithWebIdentityOutput{Credentials: &ststypes.Credentials{AccessKeyId: &key, SecretAccessKey: &secret, SessionToken: &session, Expiration: &ends}}, nil
}

func (f fakeAWS) GetAuthorizationToken(ctx context.Context, cfg awssdk.Config) (any, error) {
	n, err := f.next(ctx, "registry in "+cfg.Region)
	if err != nil {
		return nil, err
	}
	token, ends := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:registry-value-%d", n)), f.ends()
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []ecrtypes.AuthorizationData{{AuthorizationToken: &token, ExpiresAt: &ends}}}, nil
}

type fakeAzure struct {
	azure.Implementation
	*clouds
}

// azureToken is who somebody is to Azure.
type azureToken func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f azureToken) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx, o)
}

func (f fakeAzure) token(who func(context.Context) (string, error)) azcore.TokenCredential {
	return azureToken(func(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
		name, err := who(ctx)
		if err != nil {
			return azcore.AccessToken{}, err
		}
		n, err := f.next(ctx, fmt.Sprintf("%s for %s", name, o.Scopes))
		return azcore.AccessToken{Token: fmt.Sprint("azure-value-", n), ExpiresOn: f.ends()}, err
	})
}

func (f fakeAzure) NewDefaultAzureCredentialWithoutShellOut(*azidentity.DefaultAzureCredentialOptions) (azcore.TokenCredential, error) {
	return f.token(func(context.Context) (string, error) { return "controller", nil }), nil
}

func (f fakeAzure) NewClientAssertionCredential(tenant, client string, assertion func(context.Context) (string, error), _ *azidentity.ClientAssertionCredentialOptions) (azcore.TokenCredential, error) {
	return f.token(func(ctx context.Context) (string, error) {
		by, err := assertion(ctx)
		return fmt.Sprintf("%s/%s by %s", tenant, client, by), err
	}), nil
}

type fakeGCP struct {
	gcp.Implementation
	*clouds
}

// gcpToken is a function as a source of tokens.
type gcpToken func() (*oauth2.Token, error)

func (f gcpToken) Token() (*oauth2.Token, error) { return f() }

func (f fakeGCP) token(ctx context.Context, who string) oauth2.TokenSource {
	return gcpToken(func() (*oauth2.Token, error) {
		n, err := f.next(ctx, who)
		return &oauth2.Token{AccessToken: fmt.Sprint("google-value-", n), Expiry: f.ends()}, err
	})
}

func (f fakeGCP) DefaultTokenSource(ctx context.Context, _ ...string) (oauth2.TokenSource, error) {
	return f.token(ctx, "controller"), nil
}

func (f fakeGCP) NewTokenSource(ctx context.Context, conf externalaccount.Config) (oauth2.TokenSource, error) {
	return f.token(ctx, conf.Audience+" "+conf.ServiceAccountImpersonationURL), nil
}

// world is Identities on a plane and in clouds of their own.
type world struct {
	*cloud.Identities
	plane  *plane
	clouds *clouds
	now    time.Time
}

func newWorld(t *testing.T, opts cloud.Options, accounts ...corev1.ServiceAccount) *world {
	t.Helper()
	w := &world{plane: &plane{accounts: make(map[client.ObjectKey]corev1.ServiceAccount)}, clouds: &clouds{life: time.Hour}, now: time.Now()}
	for _, a := range accounts {
		w.plane.accounts[client.ObjectKeyFromObject(&a)] = a
	}
	var err error
	if w.Identities, err = cloud.New(w.plane, w.plane, opts); err != nil {
		t.Fatal(err)
	}
	w.Fake(cloud.Fakes{AWS: fakeAWS{clouds: w.clouds}, Azure: fakeAzure{clouds: w.clouds}, GCP: fakeGCP{clouds: w.clouds}, Now: func() time.Time { return w.now }})
	return w
}
