package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm/access"
)

var errNoSecret = errors.New("there is no such Secret")

// secrets answers with Secrets, by name.
type secrets map[string]map[string]string

func (s secrets) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	data, ok := s[key.Name]
	if !ok || key.Namespace != "team" {
		return errNoSecret
	}
	secret := obj.(*corev1.Secret)
	secret.Data = make(map[string][]byte)
	for k, v := range data {
		secret.Data[k] = []byte(v)
	}
	return nil
}

func (secrets) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists Secrets")
}

// sky is a cloud that lets everybody in, or nobody.
type sky struct {
	err   error
	asked []string
}

func (s *sky) Registry(_ context.Context, provider string, o cloud.Object, address string, _ creds.Proxy) (authn.Authenticator, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s for %s %s/%s at %s", provider, o.Kind, o.Namespace, o.Name, address))
	return authn.FromConfig(authn.AuthConfig{Username: "cloud", Password: "token"}), s.err
}

func repository(adjust func(*sourcev1.HelmRepositorySpec)) *sourcev1.HelmRepository {
	repo := &sourcev1.HelmRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "charts"},
		Spec:       sourcev1.HelmRepositorySpec{URL: "oci://registry.example.com/charts", Type: sourcev1.HelmRepositoryTypeOCI},
	}
	adjust(&repo.Spec)
	return repo
}

func named(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

// TestWhoLogsIn: what a Secret has comes before the cloud.
func TestWhoLogsIn(t *testing.T) {
	t.Parallel()
	errSky := errors.New("the sky is grey")
	known := secrets{
		"login":  {"username": "me", "password": "secret"},
		"config": {corev1.DockerConfigJsonKey: `{"auths":{"registry.example.com":{"username":"me","password":"secret"}}}`},
		"other":  {corev1.DockerConfigJsonKey: `{"auths":{"other.example.com":{"username":"me","password":"secret"}}}`},
		"half":   {"password": "secret"},
		"broken": {corev1.DockerConfigJsonKey: "secret"},
	}
	const asked = "aws for HelmRepository team/charts at registry.example.com/charts/demo"
	tests := map[string]struct {
		why       string
		adjust    func(*sourcev1.HelmRepositorySpec)
		sky       error
		asked     string
		anonymous bool
		says      string // empty means success
	}{
		"nobody":                {adjust: func(*sourcev1.HelmRepositorySpec) {}, anonymous: true},
		"a user":                {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("login") }},
		"a configuration":       {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("config") }},
		"that of another":       {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("other") }, anonymous: true},
		"a cloud":               {adjust: func(s *sourcev1.HelmRepositorySpec) { s.Provider = "aws" }, asked: asked},
		"no cloud":              {adjust: func(s *sourcev1.HelmRepositorySpec) { s.Provider = "generic" }, anonymous: true},
		"a user before a cloud": {adjust: func(s *sourcev1.HelmRepositorySpec) { s.Provider, s.SecretRef = "aws", named("login") }},
		"a cloud without a user": {
			why:    "the Secret has none for this registry",
			adjust: func(s *sourcev1.HelmRepositorySpec) { s.Provider, s.SecretRef = "aws", named("other") }, asked: asked,
		},
		"a grey sky":         {adjust: func(s *sourcev1.HelmRepositorySpec) { s.Provider = "aws" }, sky: errSky, asked: asked, says: "failed to get credential from 'aws': the sky is grey"},
		"half a user":        {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("half") }, says: "secret 'team/half': only one of the keys"},
		"a broken one":       {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("broken") }, says: "is no Docker configuration"},
		"none":               {adjust: func(s *sourcev1.HelmRepositorySpec) { s.SecretRef = named("none") }, says: "failed to get secret 'team/none': "},
		"no settings of TLS": {adjust: func(s *sourcev1.HelmRepositorySpec) { s.CertSecretRef = named("none") }, says: "failed to get secret 'team/none': "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			charts, err := oci.ParseURL("oci://registry.example.com/charts/demo")
			if err != nil {
				t.Fatal(err)
			}
			sky := &sky{err: tc.sky}
			got, err := access.Reader{Secrets: known, Identities: sky}.OCI(t.Context(), repository(tc.adjust), charts)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "secret\"") {
					t.Errorf("error %v; want one that says %q", err, tc.says)
				}
			} else if err != nil || got.Login.Anonymous() != tc.anonymous {
				t.Errorf("anonymous %t, %v; want %t (%s)", got.Login.Anonymous(), err, tc.anonymous, tc.why)
			}
			if asked := strings.Join(sky.asked, ", "); asked != tc.asked {
				t.Errorf("the cloud was asked %q; want %q", asked, tc.asked)
			}
		})
	}
}
