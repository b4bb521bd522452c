package cloud_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/fluxcd/pkg/auth"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
)

// account is a ServiceAccount that is known to all clouds.
func account(name string) corev1.ServiceAccount {
	return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, Annotations: map[string]string{
		"eks.amazonaws.com/role-arn":                    "arn:aws:iam::123456789012:role/" + name,
		"azure.workload.identity/tenant-id":             "tenant",
		"azure.workload.identity/client-id":             name,
		"iam.gke.io/gcp-service-account":                name + "@project.iam.gserviceaccount.com",
		"gcp.auth.fluxcd.io/workload-identity-provider": "projects/1/locations/global/workloadIdentityPools/pool/providers/one",
	}}}
}

// fleet is an object of the namespace "team" with a ServiceAccount, or none.
func fleet(serviceAccount string) cloud.Object {
	return cloud.Object{Kind: "GitRepository", Namespace: "team", Name: "fleet", ServiceAccount: serviceAccount}
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const (
	codeCommit = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/fleet"
	devOps     = "https://dev.azure.com/org/project/_git/fleet"
)

var gateOn = cloud.Options{ObjectLevel: true, CacheSize: 10}

func TestGit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		provider, account, url string
		asked                  string // of the cloud
		token                  string // of the plane
		identity               string
	}{
		"controller on AWS":   {provider: "aws", url: codeCommit, asked: "controller in eu-west-1", identity: "aws controller"},
		"controller on Azure": {provider: "azure", url: devOps, asked: "controller for [499b84ac-1321-427f-aa17-267ca6975798/.default]", identity: "azure controller"},
		"object on AWS": {
			provider: "aws", account: "robot", url: codeCommit, identity: "aws team/robot ",
			asked: "arn:aws:iam::123456789012:role/robot as robot.team.eu-west-1.fluxcd.io by kubernetes-value-of-robot in eu-west-1",
			token: "token of team/robot for [sts.amazonaws.com]",
		},
		"object on Azure": {
			provider: "azure", account: "robot", url: "https://mirror.example.com/fleet", identity: "azure team/robot ",
			asked: "tenant/robot by kubernetes-value-of-robot for [499b84ac-1321-427f-aa17-267ca6975798/.default]",
			token: "token of team/robot for [api://AzureADTokenExchange]",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gateOn, account("robot"))
			u := parse(t, strings.Replace(tc.url, "://", "://me:pw-value@", 1))
			var first creds.Git
			for i := range 3 {
				g, err := w.Git(t.Context(), tc.provider, fleet(tc.account), u, creds.Proxy{})
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = g
				}
				if g.Fingerprint() != first.Fingerprint() || !strings.HasPrefix(g.Identity, tc.identity) || g.Anonymous() {
					t.Errorf("identity %q and credentials %v, want those of %q each time", g.Identity, !g.Anonymous(), tc.identity)
				}
			}
			switch tc.provider {
			case "aws":
				if got := first.Username.Reveal(); got != "key-1%session-value" || first.Password.Empty() {
					t.Errorf("user %q, want the key and the session, and a signature", got)
				}
			default:
				if got := first.BearerToken.Reveal(); got != "azure-value-1" {
					t.Errorf("token %q", got)
				}
			}
			if diff := cmp.Diff([]string{tc.asked}, w.clouds.asked); diff != "" {
				t.Errorf("the cloud was asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.token, strings.Join(w.plane.tokens, ";")); diff != "" {
				t.Errorf("the plane was asked (-want +got):\n%s", diff)
			}
			// Another hour has another token, and the same store.
			w.now = w.now.Add(50 * time.Minute)
			g, err := w.Git(t.Context(), tc.provider, fleet(tc.account), u, creds.Proxy{})
			if err != nil {
				t.Fatal(err)
			}
			if len(w.clouds.asked) != 2 || g.Fingerprint() != first.Fingerprint() {
				t.Errorf("asked %v, and the fingerprint is the same: %v", w.clouds.asked, g.Fingerprint() == first.Fingerprint())
			}
		})
	}
}

func TestGitRefuses(t *testing.T) {
	t.Parallel()
	secret := "https://me:pw-value@"
	tests := map[string]struct {
		why           string
		opts          cloud.Options
		provider, url string
		account       string
		is            error
		says          string
	}{
		"gate is off":               {provider: "aws", url: codeCommit, account: "robot", is: cloud.ErrGateDisabled, says: "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"},
		"no account":                {opts: gateOn, provider: "aws", url: codeCommit, account: "nobody", says: "failed to get service account 'team/nobody'"},
		"no default account":        {opts: cloud.Options{ObjectLevel: true, DefaultServiceAccount: "nobody"}, provider: "azure", url: devOps, is: auth.ErrDefaultServiceAccountNotFound, says: "'team/nobody'"},
		"no CodeCommit":             {provider: "aws", url: secret + "git.example.com/fleet", says: "CodeCommit"},
		"CodeCommit by http":        {why: "anybody could read it", provider: "aws", url: strings.Replace(codeCommit, "https", "http", 1), says: "HTTPS"},
		"no DevOps":                 {why: "the token of the controller is good for all its repositories", provider: "azure", url: secret + "git.example.com/fleet", says: `"git.example.com"`},
		"DevOps by http":            {provider: "azure", url: strings.Replace(devOps, "https", "http", 1), says: "not shown"},
		"ends like DevOps":          {provider: "azure", url: "https://evildev.azure.com/fleet", says: "not shown"},
		"Google has no Git":         {provider: "gcp", url: devOps, is: cloud.ErrProvider},
		"generic has no short life": {provider: "generic", url: devOps, is: cloud.ErrProvider},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.opts, account("robot"))
			_, err := w.Git(t.Context(), tc.provider, fleet(tc.account), parse(t, tc.url), creds.Proxy{})
			if err == nil || !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v, want %v that says %q (%s)", err, tc.is, tc.says, tc.why)
			}
			if err != nil && strings.Contains(err.Error(), "-value") {
				t.Errorf("%v tells a secret", err)
			}
			if len(w.clouds.asked) > 0 {
				t.Errorf("the cloud was asked: %v", w.clouds.asked)
			}
		})
	}
}

// TestDefaultServiceAccount keeps tenants from the identity of the controller.
func TestDefaultServiceAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cloud.Options{ObjectLevel: true, DefaultServiceAccount: "tenant"}, account("tenant"), account("robot"))
	for _, name := range []string{"", "robot"} {
		if _, err := w.Git(t.Context(), "azure", fleet(name), parse(t, devOps), creds.Proxy{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"token of team/tenant for [api://AzureADTokenExchange]", "token of team/robot for [api://AzureADTokenExchange]"}
	if diff := cmp.Diff(want, w.plane.tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		provider, account, address string
		user, password             string
		asked                      int
	}{
		"controller on AWS":    {provider: "aws", address: "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/fleet", user: "AWS", password: "registry-value-2", asked: 2},
		"object on AWS":        {provider: "aws", account: "robot", address: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", user: "AWS", password: "registry-value-2", asked: 2},
		"controller on Google": {provider: "gcp", address: "oci://europe-docker.pkg.dev/project/fleet", user: "oauth2accesstoken", password: "google-value-1", asked: 1},
		"object on Google":     {provider: "gcp", account: "robot", address: "oci://europe-docker.pkg.dev/project/fleet", user: "oauth2accesstoken", password: "google-value-1", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gateOn, account("robot"))
			for range 2 {
				a, err := w.Registry(t.Context(), tc.provider, fleet(tc.account), tc.address, creds.Proxy{})
				if err != nil {
					t.Fatal(err)
				}
				login, err := a.Authorization()
				if err != nil {
					t.Fatal(err)
				}
				if login.Username != tc.user || login.Password != tc.password {
					t.Errorf("login %q %q, want %q %q", login.Username, login.Password, tc.user, tc.password)
				}
			}
			if len(w.clouds.asked) != tc.asked {
				t.Errorf("the cloud was asked %v, want %d times", w.clouds.asked, tc.asked)
			}
		})
	}
	w := newWorld(t, cloud.Options{}, account("robot"))
	for _, tc := range []struct{ provider, account, address string }{
		{"aws", "", "oci://ghcr.io/fleet"}, {"azure", "", "oci://ghcr.io/fleet"}, {"gcp", "", "oci://ghcr.io/fleet"},
		{"generic", "", "oci://ghcr.io/fleet"}, {"gcp", "robot", "oci://gcr.io/fleet"},
	} {
		if _, err := w.Registry(t.Context(), tc.provider, fleet(tc.account), tc.address, creds.Proxy{}); err == nil {
			t.Errorf("%+v is no error", tc)
		}
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "robot"} {
		t.Run("account "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gateOn, account("robot"))
			for range 2 {
				keys, err := w.S3(t.Context(), fleet(name), "eu-west-1", "", creds.Proxy{})
				if err != nil {
					t.Fatal(err)
				}
				if got := []string{keys.Access.Reveal(), keys.Secret.Reveal(), keys.Session.Reveal()}; !cmp.Equal(got, []string{"key-1", "secret-value", "session-value"}) || keys.Ends.IsZero() {
					t.Errorf("keys %q until %s", got, keys.Ends)
				}
				if printed := fmt.Sprintf("%v %+v %#v", keys, keys, keys); strings.Contains(printed, "-value") {
					t.Errorf("keys are printed as %s", printed)
				}
				source, err := w.GCS(t.Context(), fleet(name), creds.Proxy{})
				if err != nil {
					t.Fatal(err)
				}
				if token, err := source.Token(); err != nil || token.AccessToken != "google-value-2" {
					t.Errorf("token %v, %v", token, err)
				}
				blobs, err := w.Blobs(fleet(name), creds.Proxy{})
				if err != nil {
					t.Fatal(err)
				}
				for _, scopes := range [][]string{nil, {"https://storage.azure.com/.default"}} {
					if token, err := blobs.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes}); err != nil || token.Token != "azure-value-3" {
						t.Errorf("token %v, %v", token, err)
					}
				}
			}
			if len(w.clouds.asked) != 3 {
				t.Errorf("the clouds were asked %v, want once each", w.clouds.asked)
			}
		})
	}
	w := newWorld(t, cloud.Options{}, account("robot"))
	_, s3 := w.S3(t.Context(), fleet("robot"), "eu-west-1", "", creds.Proxy{})
	_, gcs := w.GCS(t.Context(), fleet("robot"), creds.Proxy{})
	_, blobs := w.Blobs(fleet("robot"), creds.Proxy{})
	for name, err := range map[string]error{"S3": s3, "GCS": gcs, "Blobs": blobs} {
		if !errors.Is(err, cloud.ErrGateDisabled) {
			t.Errorf("%s: %v, want ErrGateDisabled", name, err)
		}
	}
}

// TestIdentityChanges: a ServiceAccount that stands for somebody else gets another token
// at once, and its repositories another store.
func TestIdentityChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateOn, account("robot"))
	ask := func() creds.Git {
		g, err := w.Git(t.Context(), "azure", fleet("robot"), parse(t, devOps), creds.Proxy{})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	before := ask()
	changed := account("robot")
	changed.Annotations["azure.workload.identity/client-id"] = "other"
	for key := range w.plane.accounts {
		w.plane.accounts[key] = changed
	}
	if after := ask(); after.Fingerprint() == before.Fingerprint() || len(w.clouds.asked) != 2 {
		t.Errorf("the cloud was asked %v, and the fingerprint stays: %v", w.clouds.asked, after.Fingerprint() == before.Fingerprint())
	}
}

// TestFeatureGate: package creds, which links no cloud, has the name that the library knows.
func TestFeatureGate(t *testing.T) {
	t.Parallel()
	if cloud.FeatureGate != auth.FeatureGateObjectLevelWorkloadIdentity {
		t.Errorf("the gate is called %q, and the library knows %q", cloud.FeatureGate, auth.FeatureGateObjectLevelWorkloadIdentity)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]cloud.Options{
		"default account without the gate": {DefaultServiceAccount: "tenant"},
		"negative size":                    {CacheSize: -1},
		"negative duration":                {CacheDuration: -time.Second},
	} {
		if _, err := cloud.New(&plane{}, &plane{}, opts); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

// TestAccounts: where ServiceAccounts are followed, the plane is read for a token only.
func TestAccounts(t *testing.T) {
	t.Parallel()
	other := &plane{accounts: map[client.ObjectKey]corev1.ServiceAccount{{Namespace: "team", Name: "robot"}: account("robot")}}
	var asked []cloud.Object
	opts := gateOn
	opts.Accounts = func(o cloud.Object) client.Reader {
		asked = append(asked, o)
		return other
	}
	w := newWorld(t, opts, account("robot"))
	for i := range 3 {
		if _, err := w.Git(t.Context(), "azure", fleet("robot"), parse(t, devOps), creds.Proxy{}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			w.plane.reads = 0
		}
	}
	if w.plane.reads != 0 || other.reads != 3 {
		t.Errorf("the plane was read %d times, and the other %d; want never, and each time", w.plane.reads, other.reads)
	}
	if diff := cmp.Diff([]cloud.Object{fleet("robot"), fleet("robot"), fleet("robot")}, asked); diff != "" {
		t.Errorf("read for (-want +got):\n%s", diff)
	}
}
