package program

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/tenant"
)

// TestFlags: names and defaults are a contract with the Deployments that exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want options
	}{
		"by default": {want: options{
			requeueDependency: 30 * time.Second, concurrentSSA: 4, httpRetry: 9, tokens: cloud.Options{CacheSize: 100, CacheDuration: time.Hour},
		}},
		"all of them": {
			args: []string{
				"--requeue-dependency=5s", "--no-cross-namespace-refs", "--no-remote-bases", "--concurrent-ssa=8", "--http-retry=2",
				"--default-service-account=a", "--default-kubeconfig-service-account=b", "--insecure-kubeconfig-exec", "--insecure-kubeconfig-tls",
				"--watch-configs-label-selector=c", "--sops-age-secret=f", "--sops-vault-configmap=h", "--default-decryption-service-account=g", "--override-manager=d", "--override-manager=e", "--custom-apply-stage-kinds=/ConfigMap", "--token-cache-max-size=1", "--token-cache-max-duration=1m",
			},
			want: options{
				requeueDependency: 5 * time.Second, noCrossNamespaceRefs: true, noRemoteBases: true, concurrentSSA: 8, httpRetry: 2,
				defaultAccount: "a", kubeconfigAccount: "b", kubeconfigs: tenant.Kubeconfigs{Exec: true, InsecureTLS: true},
				ageSecret: "f", vaultConfig: "h", decryptionAccount: "g", overrideManagers: []string{"d", "e"}, customStage: "/ConfigMap", configs: "c", tokens: cloud.Options{CacheSize: 1, CacheDuration: time.Minute},
			},
		},
	}
	for name, tc := range tests {
		var got options
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		got.bind(fs)
		if err := fs.Parse(tc.args); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{}), cmpopts.IgnoreFields(cloud.Options{}, "Accounts", "Metrics")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for flag, want := range map[int]int{9: 9, 1: 1, 0: -1, -5: -1} {
		if got := (&options{httpRetry: flag}).retries(); got != want {
			t.Errorf("--http-retry=%d makes %d retries; want %d", flag, got, want)
		}
	}
}

func TestVaultTokenIsForOneVault(t *testing.T) {
	t.Parallel()
	token := creds.Hide("t")
	for name, tc := range map[string]struct {
		of, address string
		given       bool
	}{
		"of the one":              {of: "https://vault.example.com/", address: "https://vault.example.com", given: true},
		"of another":              {of: "https://vault.example.com", address: "https://evil.example.com"},
		"where no Vault was told": {address: "https://vault.example.com", given: true},
	} {
		got, err := vaultToken(token, tc.of)(tc.address)
		if given := err == nil && got.Equal(token); given != tc.given {
			t.Errorf("%s: the token is given: %t, %v; want %t", name, given, err, tc.given)
		}
	}
}
