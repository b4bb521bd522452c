package ocirepository

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/source-controller/internal/source"
)

// clouds records who asks for credentials, and gives the same to all.
type clouds struct {
	gate  bool // objects may have an identity of their own
	login authn.AuthConfig
	err   error
	asked []string
}

func (c *clouds) Registry(_ context.Context, provider string, o cloud.Object, address string, _ creds.Proxy) (authn.Authenticator, error) {
	c.asked = append(c.asked, provider+" "+o.Namespace+"/"+o.Name+" "+o.ServiceAccount+" "+address)
	return authn.FromConfig(c.login), c.err
}

func (c *clouds) ServiceAccount(o cloud.Object) (string, error) {
	if o.ServiceAccount != "" && !c.gate {
		return "", cloud.ErrGateDisabled
	}
	return o.ServiceAccount, nil
}

func (c *clouds) Forget(cloud.Object) {}

// objects are Secrets and ServiceAccounts, by name.
type objects map[string]client.Object

func (o objects) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	found, ok := o[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	switch obj := obj.(type) {
	case *corev1.Secret:
		found.(*corev1.Secret).DeepCopyInto(obj)
	case *corev1.ServiceAccount:
		found.(*corev1.ServiceAccount).DeepCopyInto(obj)
	}
	return nil
}

func (o objects) For(source.Object) client.Reader { return o }
func (o objects) Forget(source.Object)            {}
func (o objects) Wake() ctrlsource.Source         { return nil }

func (o objects) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists")
}

// TestCloudLogin: clouds are asked where the Secrets have nothing for the registry.
func TestCloudLogin(t *testing.T) {
	t.Parallel()
	const user, password = "cloud", "cloud-secret"
	r := ocitest.Start(t, ocitest.Options{Username: user, Password: password})
	r.Push("app", "latest", ocitest.Files(nil))
	other := ocitest.Start(t, ocitest.Options{})
	docker := func(reg *ocitest.Registry, password string) client.Object {
		return &corev1.Secret{Data: map[string][]byte{".dockerconfigjson": []byte(reg.DockerConfig(user, password))}}
	}
	known := objects{
		"login": docker(r, password), "wrong": docker(r, "wrong"), "other": docker(other, password),
		"robot": &corev1.ServiceAccount{}, "pulls": &corev1.ServiceAccount{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "login"}}},
		"pulls-other": &corev1.ServiceAccount{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "other"}}},
	}
	asked := func(account string) []string { return []string{"aws ns/app " + account + " " + r.Host() + "/app"} }
	tests := map[string]struct {
		why             string
		provider        sourcev1.OCIProvider
		secret, account string
		gate            bool
		cloud           error
		asked           []string
		says            string // of the error; empty: the registry lets in
	}{
		"controller":     {provider: "aws", asked: asked("")},
		"account":        {provider: "aws", account: "robot", gate: true, asked: asked("robot")},
		"gate":           {provider: "aws", account: "robot", says: "please enable the ObjectLevelWorkloadIdentity feature gate"},
		"no gate needed": {why: "without a cloud, the account only has pull secrets", account: "pulls"},
		"secret":         {provider: "aws", secret: "login"},
		"wrong secret":   {why: "it is what the user has set", provider: "aws", secret: "wrong", says: "registry refuses access"},
		"other secret":   {why: "it has nothing for this registry", provider: "aws", secret: "other", asked: asked("")},
		"pull secret":    {provider: "aws", account: "pulls", gate: true},
		"other pull":     {provider: "aws", account: "pulls-other", gate: true, asked: asked("pulls-other")},
		"generic":        {provider: "generic", says: "registry refuses access"},
		"cloud fails":    {provider: "aws", cloud: errors.New("no role"), asked: asked(""), says: "failed to get credential from aws: no role"},
	}
	for name, tc := range tests {
		c := &clouds{gate: tc.gate, login: authn.AuthConfig{Username: user, Password: password}, err: tc.cloud}
		k := &Reconciler{registries: oci.NewClient(oci.Limits{}), identities: c, secrets: known}
		repo := &sourcev1.OCIRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}}
		repo.Spec.URL, repo.Spec.Provider, repo.Spec.ServiceAccountName = r.URL("app"), tc.provider, tc.account
		if tc.secret != "" {
			repo.Spec.SecretRef = &meta.LocalObjectReference{Name: tc.secret}
		}
		s := &scope{repo: repo}
		err := k.authenticate(t.Context(), s)
		if err == nil {
			_, err = s.session.Resolve(t.Context(), "latest")
		}
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: %v; want %q (%s)", name, err, tc.says, tc.why)
		}
		if diff := cmp.Diff(tc.asked, c.asked); diff != "" {
			t.Errorf("%s: the cloud was asked (%s) (-want +got):\n%s", name, tc.why, diff)
		}
	}
}
