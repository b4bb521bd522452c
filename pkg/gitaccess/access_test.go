package gitaccess_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// secrets are all there is to read, by name.
type secrets struct {
	client.Client
	data map[string]map[string][]byte
}

func (s secrets) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	secret, ok := obj.(*corev1.Secret)
	data, found := s.data[key.Name]
	if !ok || !found || key.Namespace != "apps" {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret.Data = data
	return nil
}

func texts(pairs ...string) map[string][]byte {
	data := make(map[string][]byte)
	for pair := range slices.Chunk(pairs, 2) {
		data[pair[0]] = []byte(pair[1])
	}
	return data
}

// source is a GitRepository in the namespace apps.
func source(url string, change ...func(*sourcev1.GitRepositorySpec)) *sourcev1.GitRepository {
	repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "fleet"}, Spec: sourcev1.GitRepositorySpec{URL: url}}
	for _, do := range change {
		do(&repo.Spec)
	}
	return repo
}

func secretRef(name string) func(*sourcev1.GitRepositorySpec) {
	return func(s *sourcev1.GitRepositorySpec) { s.SecretRef = &meta.LocalObjectReference{Name: name} }
}

func proxyRef(name string) func(*sourcev1.GitRepositorySpec) {
	return func(s *sourcev1.GitRepositorySpec) { s.ProxySecretRef = &meta.LocalObjectReference{Name: name} }
}

func provider(name sourcev1.GitProvider) func(*sourcev1.GitRepositorySpec) {
	return func(s *sourcev1.GitRepositorySpec) { s.Provider = name }
}

func newAccess(t *testing.T, read client.Client) *gitaccess.Access {
	t.Helper()
	identities, err := cloud.New(read, read, cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return gitaccess.New(identities)
}

// TestRemote: a remote that is found lets in whoever the Secret is of.
func TestRemote(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit, Username: "user-value", Password: "pw-value"})
	s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	read := secrets{data: map[string]map[string][]byte{
		"http": texts("username", "user-value", "password", "pw-value"),
		"bad":  texts("username", "user-value", "password", "other-value"),
		"ssh":  texts("identity", string(s.SSH().ClientKey.PEM()), "known_hosts", string(s.SSH().KnownHosts)),
	}}
	tests := map[string]struct {
		repo *sourcev1.GitRepository
		is   error
	}{
		"by a password": {repo: source(s.URL("fleet"), secretRef("http"))},
		"by generic":    {repo: source(s.URL("fleet"), secretRef("http"), provider(sourcev1.GitProviderGeneric))},
		"by a key":      {repo: source(s.SSHURL("fleet"), secretRef("ssh"))},
		"by another":    {repo: source(s.URL("fleet"), secretRef("bad")), is: git.ErrUnauthorized},
		"by nothing":    {repo: source(s.URL("fleet")), is: git.ErrUnauthorized},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote, err := newAccess(t, read).Remote(t.Context(), read, tc.repo)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			conn, err := git.NewClient(git.Limits{}).Dial(ctx, remote)
			if !errors.Is(err, tc.is) {
				t.Errorf("%v, want %v", err, tc.is)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
}

// TestNoRemote: an error says what kind of thing is wrong, and whether it can become
// right without a change of the spec.
func TestNoRemote(t *testing.T) {
	t.Parallel()
	const http, ssh = "https://git.example.com/fleet", "ssh://git@git.example.com/fleet"
	read := secrets{data: map[string]map[string][]byte{
		"half":  texts("username", "user-value"),
		"app":   texts("githubAppID", "1-value"),
		"empty": {},
		"proxy": texts("address", "ftp://proxy-value"),
	}}
	account := func(s *sourcev1.GitRepositorySpec) { s.ServiceAccountName = "robot" }
	tests := map[string]struct {
		why   string
		repo  *sourcev1.GitRepository
		kind  gitaccess.Kind
		final bool
		says  string
	}{
		"no URL":                {repo: source("git.example.com"), kind: gitaccess.URL, final: true, says: "URL"},
		"no Secret":             {why: "it may come", repo: source(http, secretRef("none")), kind: gitaccess.Authentication, says: "failed to get secret 'apps/none'"},
		"half a Secret":         {repo: source(http, secretRef("half")), kind: gitaccess.Authentication, says: "password"},
		"no proxy":              {repo: source(http, proxyRef("none")), kind: gitaccess.Authentication, says: "apps/none"},
		"an odd proxy":          {repo: source(http, proxyRef("proxy")), kind: gitaccess.Authentication, says: "address"},
		"no key":                {repo: source(ssh, secretRef("empty")), kind: gitaccess.Authentication, says: "identity"},
		"no Secret for ssh":     {repo: source(ssh), kind: gitaccess.Authentication, says: "identity"},
		"an app by mistake":     {why: "the Secret may change", repo: source(http, secretRef("app")), kind: gitaccess.Provider, says: "spec.provider is not github"},
		"an app, over ssh":      {repo: source(ssh, secretRef("app"), provider(sourcev1.GitProviderGitHub)), kind: gitaccess.Provider, final: true, says: "https"},
		"an app, and no Secret": {repo: source(http, provider(sourcev1.GitProviderGitHub)), kind: gitaccess.Provider, final: true, says: "secretRef"},
		"half an app":           {repo: source(http, secretRef("empty"), provider(sourcev1.GitProviderGitHub)), kind: gitaccess.Provider, says: "githubApp"},
		"a cloud, over ssh":     {repo: source(ssh, provider(sourcev1.GitProviderAzure)), kind: gitaccess.Provider, final: true, says: "https"},
		"a gate that is shut":   {repo: source("https://dev.azure.com/o/p/_git/r", provider(sourcev1.GitProviderAzure), account), kind: gitaccess.FeatureGate, final: true, says: "feature gate"},
		"a host of nobody":      {why: "it would see the controller's token", repo: source(http, provider(sourcev1.GitProviderAzure)), kind: gitaccess.Authentication, says: "azure"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote, err := newAccess(t, read).Remote(t.Context(), read, tc.repo)
			var why *gitaccess.Error
			if remote != nil || !errors.As(err, &why) {
				t.Fatalf("%v, %v, want an error of this package (%s)", remote, err, tc.why)
			}
			if why.Kind != tc.kind || why.Final != tc.final || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s, final %t: %v; want %s, final %t, and that it says %q (%s)", why.Kind, why.Final, err, tc.kind, tc.final, tc.says, tc.why)
			}
			if strings.Contains(err.Error(), "-value") {
				t.Errorf("%q tells a secret", err)
			}
		})
	}
}

func TestLegacyKeysAreTold(t *testing.T) {
	t.Parallel()
	cert, err := gitserver.NewCertificate("git.example.com")
	if err != nil {
		t.Fatal(err)
	}
	read := secrets{data: map[string]map[string][]byte{"old": texts("caFile", string(cert.CA)), "new": texts("ca.crt", string(cert.CA))}}
	access := newAccess(t, read)
	told := make(map[string][]string)
	access.Legacy = func(_ context.Context, repo *sourcev1.GitRepository, secret string, keys []string) {
		told[repo.Name+" "+secret] = keys
	}
	for _, name := range []string{"old", "new"} {
		if _, err := access.Remote(t.Context(), read, source("https://git.example.com/fleet", secretRef(name))); err != nil {
			t.Fatal(err)
		}
	}
	if got := told["fleet apps/old"]; len(told) != 1 || !slices.Equal(got, []string{"caFile"}) {
		t.Errorf("told %v, want that apps/old has caFile", told)
	}
}
