// Package cloud gets credentials of short life from clouds and from GitHub: for the
// controller by its own identity, or for an object by that of a ServiceAccount beside
// it. It keeps them until they near their end.
//
// But for package decrypt, it alone links the libraries of the clouds.
package cloud

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/pkg/auth"
	"github.com/fluxcd/pkg/auth/aws"
	"github.com/fluxcd/pkg/auth/azure"
	"github.com/fluxcd/pkg/auth/gcp"
	"github.com/fluxcd/pkg/auth/generic"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds"
)

// FeatureGate lets objects name a ServiceAccount whose identity is used.
const FeatureGate = creds.FeatureGate

// Providers.
const (
	AWS   = aws.ProviderName
	Azure = azure.ProviderName
	GCP   = gcp.ProviderName
)

// Errors that a caller may want to tell apart.
var (
	// ErrGateDisabled is that of package creds.
	ErrGateDisabled = creds.ErrGateDisabled
	// ErrProvider: the provider has no credentials for what is asked.
	ErrProvider = errors.New("the provider has no such credentials")
)

// Options are those of the process. The zero value lets objects have no identity of
// their own, and keeps no token.
type Options struct {
	ObjectLevel           bool   // the feature gate
	DefaultServiceAccount string // of objects that name none; needs ObjectLevel
	CacheSize             int    // tokens that are kept; 0 means none
	CacheDuration         time.Duration
	// Accounts reads the ServiceAccount of an object. nil means the reader of New.
	Accounts func(Object) client.Reader
	Metrics  prometheus.Registerer // nil means none
}

// DefaultCacheSize is how many tokens a process keeps unless it is told otherwise.
const DefaultCacheSize = 100

// maxCacheDuration is the longest that a token is kept, and the default.
const maxCacheDuration = time.Hour

// Validate refuses options that go against each other.
func (o Options) Validate() error {
	switch {
	case o.DefaultServiceAccount != "" && !o.ObjectLevel:
		return fmt.Errorf("a default service account needs the feature gate %s", FeatureGate)
	case o.CacheSize < 0:
		return fmt.Errorf("%d tokens cannot be kept", o.CacheSize)
	case o.CacheDuration < 0:
		return fmt.Errorf("tokens cannot be kept for %s", o.CacheDuration)
	}
	return nil
}

// Identities get credentials. They are safe for concurrent use.
type Identities struct {
	client client.Client // reads what has to be read from the API server itself
	opts   Options
	tokens *tokens

	aws     aws.Provider
	azure   azure.Provider
	gcp     gcp.Provider
	generic generic.Provider
}

// New returns Identities that read ServiceAccounts by reader, and make tokens of them by
// c.
func New(c client.Client, reader client.Reader, opts Options) (*Identities, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.CacheDuration == 0 || opts.CacheDuration > maxCacheDuration {
		opts.CacheDuration = maxCacheDuration
	}
	m, err := newMetrics(opts.Metrics)
	if err != nil {
		return nil, fmt.Errorf("counting tokens: %w", err)
	}
	enableObjectLevel()
	return &Identities{client: throughReader{Client: c, reader: reader}, opts: opts, tokens: newTokens(opts.CacheSize, opts.CacheDuration, m)}, nil
}

// enableObjectLevel lets the library do what only this package decides: its own switch
// is one for the whole process.
var enableObjectLevel = sync.OnceFunc(auth.EnableObjectLevelWorkloadIdentity)

// throughReader is a client that reads by something else.
type throughReader struct {
	client.Client
	reader client.Reader
}

func (c throughReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, obj, opts...)
}

// Object is whose credentials are asked for.
type Object = creds.Asker

// Forget drops what is counted for an object that is gone.
func (i *Identities) Forget(o Object) { i.tokens.metrics.forget(o) }

// ServiceAccount returns the name of the ServiceAccount whose identity an object has;
// "" means that of the controller.
func (i *Identities) ServiceAccount(o Object) (string, error) {
	if o.ServiceAccount == "" {
		return cmp.Or(o.Default, i.opts.DefaultServiceAccount), nil
	}
	if !i.opts.ObjectLevel {
		return "", ErrGateDisabled
	}
	return o.ServiceAccount, nil
}

// identity is who an object is to a provider.
type identity struct {
	key        string // for tokens, and for what they let in to
	controller bool   // it is the controller's
	opts       []auth.Option
}

// identify looks up who an object is to a provider.
func (i *Identities) identify(ctx context.Context, provider string, o Object, proxy creds.Proxy) (identity, error) {
	name, err := i.ServiceAccount(o)
	if err != nil {
		return identity{}, err
	}
	var id identity
	if u := proxy.URL(); u != nil {
		id.opts = append(id.opts, auth.WithProxyURL(*u))
	}
	if name == "" {
		id.key, id.controller = provider+" controller", true
		return id, nil
	}
	key := client.ObjectKey{Namespace: o.Namespace, Name: name}
	var account corev1.ServiceAccount
	err = i.accounts(o).Get(ctx, key, &account)
	switch {
	case apierrors.IsNotFound(err) && o.ServiceAccount == "":
		return identity{}, fmt.Errorf("failed to get service account '%s': %w", key, auth.ErrDefaultServiceAccountNotFound)
	case err != nil:
		return identity{}, fmt.Errorf("failed to get service account '%s': %w", key, err)
	}
	id.key = accountKey(provider, &account)
	id.opts = append(id.opts, auth.WithClient(i.client), auth.WithServiceAccountName(name), auth.WithServiceAccountNamespace(o.Namespace))
	return id, nil
}

// accounts reads the ServiceAccount of an object.
func (i *Identities) accounts(o Object) client.Reader {
	if i.opts.Accounts != nil {
		return i.opts.Accounts(o)
	}
	return i.client
}

// accountKey identifies a ServiceAccount and what its annotations make of it. One that
// was deleted and made anew is another.
func accountKey(provider string, account *corev1.ServiceAccount) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s/%s %s", provider, account.Namespace, account.Name, account.UID)
	for _, name := range slices.Sorted(maps.Keys(account.Annotations)) {
		if slices.Contains(identityAnnotations, name) {
			fmt.Fprintf(&b, " %s=%q", name, account.Annotations[name])
		}
	}
	return b.String()
}

// identityAnnotations are those of a ServiceAccount that say who it is to a provider.
var identityAnnotations = []string{
	"eks.amazonaws.com/role-arn",
	"azure.workload.identity/client-id",
	"azure.workload.identity/tenant-id",
	"iam.gke.io/gcp-service-account",
	"gcp.auth.fluxcd.io/workload-identity-provider",
}

// digest makes one key of several texts, some of which may be secret.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
