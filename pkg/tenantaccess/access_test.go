package tenantaccess_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/tenantaccess"
)

// kubeconfig is one that reaches a server with the token "t".
func kubeconfig(s *httptest.Server) []byte {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return []byte(`{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "` + s.URL + `", certificate-authority-data: ` + base64.StdEncoding.EncodeToString(ca) + `}}],
users: [{name: u, user: {token: t}}]}`)
}

func secret(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Data: data}
}

// asked is a server that notes who asks.
func asked(t *testing.T, begin func(http.Handler) *httptest.Server) (s *httptest.Server, who func() string) {
	t.Helper()
	var last atomic.Value
	s = begin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		last.Store(strings.Join([]string{r.Header.Get("Authorization"), r.Header.Get("Impersonate-User"), r.Header.Get("User-Agent")}, ", "))
	}))
	t.Cleanup(s.Close)
	return s, func() string {
		text, _ := last.Load().(string)
		return text
	}
}

// newAccess returns the access of one kind, with this cluster at a URL.
func newAccess(t *testing.T, here string, opts tenantaccess.Options) *tenantaccess.Access {
	t.Helper()
	clusters, err := tenant.New(&rest.Config{Host: here, UserAgent: "here"}, &http.Client{Transport: http.DefaultTransport}, apimeta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: "test"}, OwnerName: "name", OwnerNamespace: "namespace",
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.Kind, opts.UserAgent = "Widget", "weir"
	if opts.Identities, err = cloud.New(fake.NewFakeClient(), fake.NewFakeClient(), cloud.Options{}); err != nil {
		t.Fatal(err)
	}
	return tenantaccess.New(clusters, opts)
}

func bySecret(name, key string) *meta.KubeConfigReference {
	return &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: name, Key: key}}
}

func byConfigMap(name string) *meta.KubeConfigReference {
	return &meta.KubeConfigReference{ConfigMapRef: &meta.LocalObjectReference{Name: name}}
}

// object is one with what it reads.
func object(account string, ref *meta.KubeConfigReference, objs ...client.Object) tenantaccess.Object {
	return tenantaccess.Object{
		NamespacedName: types.NamespacedName{Namespace: "a", Name: "x"}, ServiceAccount: account, KubeConfig: ref,
		Configs: fake.NewClientBuilder().WithObjects(objs...).Build(),
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	const team = "system:serviceaccount:a:team"
	here, askedHere := asked(t, httptest.NewServer)
	there, askedThere := asked(t, httptest.NewTLSServer)
	good := kubeconfig(there)
	tests := map[string]struct {
		why          string
		opts         tenantaccess.Options
		object       tenantaccess.Object
		here, remote string
	}{
		"as itself":     {object: object("", nil), here: ", , "},
		"as a tenant":   {object: object("team", nil), here: ", " + team + ", "},
		"as stand-in":   {why: "it names nobody", opts: tenantaccess.Options{DefaultServiceAccount: "nobody"}, object: object("", nil), here: ", system:serviceaccount:a:nobody, "},
		"not a default": {why: "it names somebody", opts: tenantaccess.Options{DefaultServiceAccount: "nobody"}, object: object("team", nil), here: ", " + team + ", "},
		"in another cluster": {
			object: object("", bySecret("k", ""), secret("k", map[string][]byte{"value": good})), remote: "Bearer t, , weir",
		},
		"in another cluster as a tenant": {
			why: "the account is one of that cluster", object: object("team", bySecret("k", ""), secret("k", map[string][]byte{"value": good})), remote: "Bearer t, " + team + ", weir",
		},
		"by the other usual key": {
			object: object("", bySecret("k", ""), secret("k", map[string][]byte{"value.yaml": good})), remote: "Bearer t, , weir",
		},
		"by the first of the usual keys": {
			object: object("", bySecret("k", ""), secret("k", map[string][]byte{"value": good, "value.yaml": []byte("none")})), remote: "Bearer t, , weir",
		},
		"by a key of its own": {
			object: object("", bySecret("k", "mine"), secret("k", map[string][]byte{"mine": good, "value": []byte("none")})), remote: "Bearer t, , weir",
		},
	}
	for name, tc := range tests {
		p, err := newAccess(t, here.URL, tc.opts).Enter(t.Context(), tc.object)
		if err != nil {
			t.Errorf("%s: %v (%s)", name, err, tc.why)
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Config().Host, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		got, want := askedThere(), tc.remote
		if tc.remote == "" {
			got, want = askedHere(), tc.here
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: the cluster is asked by %q; want %q (%s)", name, got, want, tc.why)
		}
	}
}

func TestEnterRefuses(t *testing.T) {
	t.Parallel()
	const one = "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
	both := bySecret("k", "")
	both.ConfigMapRef = &meta.LocalObjectReference{Name: "c"}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "c"}, Data: map[string]string{"provider": "generic", "address": "https://x", "serviceAccountName": "s"}}
	tests := map[string]struct {
		object tenantaccess.Object
		want   string
		is     error
	}{
		"both":               {object: object("", both), want: one},
		"neither":            {object: object("", &meta.KubeConfigReference{}), want: one},
		"no Secret":          {object: object("", bySecret("k", "")), want: "reading the kubeconfig in Secret 'a/k': "},
		"no usual key":       {object: object("", bySecret("k", ""), secret("k", nil)), want: "the Secret 'a/k' does not contain a 'value' key with a kubeconfig"},
		"not the key":        {object: object("", bySecret("k", "mine"), secret("k", map[string][]byte{"value": nil})), want: "the Secret 'a/k' does not contain a 'mine' key"},
		"no kubeconfig":      {object: object("", bySecret("k", ""), secret("k", map[string][]byte{"value": []byte("[s3cret")})), want: "invalid kubeconfig in Secret 'a/k': "},
		"no ConfigMap":       {object: object("", byConfigMap("c")), want: "reading the kubeconfig in ConfigMap 'a/c': "},
		"the gate is off":    {object: object("", byConfigMap("c"), config), want: "connecting by ConfigMap 'a/c': ", is: cloud.ErrGateDisabled},
		"of another's space": {object: object("", bySecret("k", ""), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "k"}}), want: "reading the kubeconfig in Secret 'a/k': "},
	}
	for name, tc := range tests {
		_, err := newAccess(t, "http://127.0.0.1:1", tenantaccess.Options{}).Enter(t.Context(), tc.object)
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want an error that begins with %q", name, err, tc.want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "team"}}
	tests := map[string]struct {
		why    string
		opts   tenantaccess.Options
		object tenantaccess.Object
		want   string
	}{
		"nothing is needed":       {object: object("", nil)},
		"the account is there":    {object: object("team", nil, account)},
		"the account is gone":     {object: object("team", nil), want: "team"},
		"the stand-in is gone":    {opts: tenantaccess.Options{DefaultServiceAccount: "nobody"}, object: object("", nil, account), want: "nobody"},
		"the kubeconfig is there": {why: "the account is in the other cluster", object: object("team", bySecret("k", ""), secret("k", nil))},
		"the kubeconfig is gone":  {object: object("", bySecret("k", "")), want: "k"},
		"the ConfigMap is gone":   {object: object("", byConfigMap("c")), want: "c"},
		"an empty reference":      {why: "nothing says what to look for", object: object("", &meta.KubeConfigReference{})},
	}
	for name, tc := range tests {
		got, err := newAccess(t, "http://127.0.0.1:1", tc.opts).Missing(t.Context(), tc.object)
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q (%s)", name, got, err, tc.want, tc.why)
		}
	}
}

// TestMissingIsNotWhatCannotBeRead: the objects must not be left behind for that.
func TestMissingIsNotWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	broken := apierrors.NewInternalError(errors.New("broken"))
	o := object("team", nil)
	o.Configs = fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return broken
		},
	}).Build()
	got, err := newAccess(t, "http://127.0.0.1:1", tenantaccess.Options{}).Missing(t.Context(), o)
	if got != "" || !errors.Is(err, broken) {
		t.Errorf("%q, %v; want the error", got, err)
	}
}
