package registry_test

import (
	"context"
	"errors"
	"fmt"
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

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/registry"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

const user, password = "robot", "hunter2-password"

// clouds record who asks for credentials, and give the same to all.
type clouds struct {
	gate  bool // objects may have an identity of their own
	login authn.AuthConfig
	err   error
	asked []string
}

func (c *clouds) Registry(_ context.Context, provider string, o cloud.Object, address string, proxy creds.Proxy) (authn.Authenticator, error) {
	c.asked = append(c.asked, fmt.Sprintf("%s for %s %s/%s as %q: %s by %s", provider, o.Kind, o.Namespace, o.Name, o.ServiceAccount, address, proxy))
	return authn.FromConfig(c.login), c.err
}

func (c *clouds) ServiceAccount(o cloud.Object) (string, error) {
	if o.ServiceAccount != "" && !c.gate {
		return "", cloud.ErrGateDisabled
	}
	return o.ServiceAccount, nil
}

func (c *clouds) Forget(o cloud.Object) { c.asked = append(c.asked, "forget "+o.Name) }

// objects are Secrets and ServiceAccounts, by name. It notes which were read.
type objects struct {
	known map[string]client.Object
	read  []string
}

func (o *objects) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	o.read = append(o.read, key.String())
	found, ok := o.known[key.Name]
	if !ok || key.Namespace != "ns" {
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

func (o *objects) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists")
}

func secret(data map[string]string) client.Object {
	s := &corev1.Secret{Data: make(map[string][]byte)}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func ref(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

// TestProviderComesFirst: with a cloud, no Secret with credentials is read.
func TestProviderComesFirst(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{Username: user, Password: password})
	r.Push("app", "1.0", ocitest.Files(nil))
	good, bad := secret(map[string]string{".dockerconfigjson": r.DockerConfig(user, password)}), secret(map[string]string{".dockerconfigjson": r.DockerConfig(user, "wrong")})
	asked := func(account string) []string {
		return []string{fmt.Sprintf("aws for ImageRepository ns/app as %q: %s/app by no proxy", account, r.Host())}
	}
	tests := map[string]struct {
		why   string
		spec  imagev1.ImageRepositorySpec
		gate  bool
		login string // password that the cloud gives
		asked []string
		read  []string
		err   error // of the session, or of the registry
	}{
		"a secret":             {spec: imagev1.ImageRepositorySpec{SecretRef: ref("good")}, read: []string{"ns/good"}},
		"a wrong secret":       {spec: imagev1.ImageRepositorySpec{SecretRef: ref("bad")}, read: []string{"ns/bad"}, err: oci.ErrUnauthorized},
		"generic":              {spec: imagev1.ImageRepositorySpec{SecretRef: ref("good"), Provider: imagev1.ImageProviderGeneric}, read: []string{"ns/good"}},
		"pull secrets":         {spec: imagev1.ImageRepositorySpec{ServiceAccountName: "puller"}, read: []string{"ns/puller", "ns/good"}},
		"a secret, then those": {why: "the first that fits counts", spec: imagev1.ImageRepositorySpec{SecretRef: ref("good"), ServiceAccountName: "other"}, read: []string{"ns/other", "ns/good", "ns/bad"}},
		"a cloud":              {spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderAWS}, login: password, asked: asked("")},
		"a cloud and a secret": {why: "the secret is not looked at", spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderAWS, SecretRef: ref("bad")}, login: password, asked: asked("")},
		"a cloud that is wrong, and a secret": {
			spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderAWS, SecretRef: ref("good")}, login: "wrong", asked: asked(""), err: oci.ErrUnauthorized,
		},
		"an identity":              {spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderAWS, ServiceAccountName: "robot"}, gate: true, login: password, asked: asked("robot")},
		"an identity, and no gate": {spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderAWS, ServiceAccountName: "robot"}, login: password, err: cloud.ErrGateDisabled},
	}
	for name, tc := range tests {
		tc.spec.Image = r.Host() + "/app"
		repo := &imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: tc.spec}
		cluster := &objects{known: map[string]client.Object{
			"good": good, "bad": bad,
			"puller": &corev1.ServiceAccount{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "good"}}},
			"other":  &corev1.ServiceAccount{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "bad"}}},
		}}
		identities := &clouds{gate: tc.gate, login: authn.AuthConfig{Username: user, Password: tc.login}}
		session, err := registry.New(oci.NewClient(oci.Limits{}), identities).Session(t.Context(), cluster, repo)
		if err == nil {
			_, err = session.Tags(t.Context())
		}
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want %v (%s)", name, err, tc.err, tc.why)
		}
		if diff := cmp.Diff(tc.asked, identities.asked); diff != "" {
			t.Errorf("%s: asked of the cloud (-want +got), %s:\n%s", name, tc.why, diff)
		}
		if diff := cmp.Diff(tc.read, cluster.read); diff != "" {
			t.Errorf("%s: read (-want +got), %s:\n%s", name, tc.why, diff)
		}
	}
}

// TestSessionIsShared by all runs that log in the same way, and by no other.
func TestSessionIsShared(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	access := registry.New(oci.NewClient(oci.Limits{}), &clouds{})
	cluster := &objects{known: map[string]client.Object{"login": secret(map[string]string{".dockerconfigjson": r.DockerConfig(user, password)})}}
	open := func(name string) *oci.Session {
		repo := &imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
		repo.Spec = imagev1.ImageRepositorySpec{Image: r.Host() + "/app", SecretRef: ref("login")}
		session, err := access.Session(t.Context(), cluster, repo)
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	first := open("one")
	if open("one") != first || open("two") != first {
		t.Error("the same login is two sessions")
	}
	cluster.known["login"] = secret(map[string]string{".dockerconfigjson": r.DockerConfig(user, "another")})
	if open("one") == first {
		t.Error("another login is the same session")
	}
}

func TestSessionsThatCannotBe(t *testing.T) {
	t.Parallel()
	cluster := &objects{known: map[string]client.Object{"empty": secret(nil)}}
	tests := map[string]struct {
		spec imagev1.ImageRepositorySpec
		says string
		err  error
	}{
		"a tag":        {spec: imagev1.ImageRepositorySpec{Image: "example.com/app:1.0"}, says: "tag", err: oci.ErrInvalidImage},
		"no proxy":     {spec: imagev1.ImageRepositorySpec{ProxySecretRef: ref("gone")}, says: "the proxy: failed to get secret 'ns/gone'"},
		"an empty one": {spec: imagev1.ImageRepositorySpec{ProxySecretRef: ref("empty")}, says: "the proxy: secret 'ns/empty'"},
		"no authority": {spec: imagev1.ImageRepositorySpec{CertSecretRef: ref("gone")}, says: "TLS: failed to get secret 'ns/gone'"},
		"no login":     {spec: imagev1.ImageRepositorySpec{SecretRef: ref("empty")}, says: "secret 'ns/empty' has no key"},
		"no account":   {spec: imagev1.ImageRepositorySpec{ServiceAccountName: "gone"}, says: "failed to get service account 'ns/gone'"},
		"no cloud":     {spec: imagev1.ImageRepositorySpec{Provider: imagev1.ImageProviderGCP}, says: "gcp: the cloud is down"},
	}
	for name, tc := range tests {
		if tc.spec.Image == "" {
			tc.spec.Image = "example.com/app"
		}
		repo := &imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: tc.spec}
		_, err := registry.New(oci.NewClient(oci.Limits{}), &clouds{err: errors.New("the cloud is down")}).Session(t.Context(), cluster, repo)
		if err == nil || !strings.Contains(err.Error(), tc.says) || tc.err != nil && !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want an error that says %q", name, err, tc.says)
		}
	}
}
