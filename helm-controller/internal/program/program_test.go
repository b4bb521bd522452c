package program

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/helmrelease"
	"weir.dev/helm-controller/internal/oom"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/tenant"
)

// parse reads flags.
func parse(t *testing.T, args ...string) options {
	t.Helper()
	var got options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	got.bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFlags: names and defaults are a contract with the Deployments that exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want options
	}{
		"by default": {want: options{
			requeueDependency: 30 * time.Second, httpRetry: 9, httpTimeout: 30 * time.Second, grace: 10 * time.Minute, digest: "sha256",
			memory: oom.Options{Threshold: 95, Interval: 500 * time.Millisecond}, tokens: cloud.Options{CacheSize: 100, CacheDuration: time.Hour},
		}},
		"all of them": {
			args: []string{
				"--requeue-dependency=5s", "--no-cross-namespace-refs", "--http-retry=2", "--http-timeout=3s", "--graceful-shutdown-timeout=1m",
				"--default-service-account=a", "--default-kubeconfig-service-account=b", "--insecure-kubeconfig-exec", "--insecure-kubeconfig-tls",
				"--watch-configs-label-selector=c", "--override-manager=d", "--override-manager=e", "--snapshot-digest-algo=sha512",
				"--oom-watch-memory-threshold=80", "--oom-watch-interval=2s", "--oom-watch-max-memory-path=f", "--oom-watch-current-memory-path=g",
				"--token-cache-max-size=1", "--token-cache-max-duration=1m",
			},
			want: options{
				requeueDependency: 5 * time.Second, noCrossNamespaceRefs: true, httpRetry: 2, httpTimeout: 3 * time.Second, grace: time.Minute,
				defaultAccount: "a", kubeconfigAccount: "b", kubeconfigs: tenant.Kubeconfigs{Exec: true, InsecureTLS: true},
				configs: "c", overrideManagers: []string{"d", "e"}, digest: "sha512",
				memory: oom.Options{Threshold: 80, Interval: 2 * time.Second, MaxPath: "f", CurrentPath: "g"},
				tokens: cloud.Options{CacheSize: 1, CacheDuration: time.Minute},
			},
		},
	}
	for name, tc := range tests {
		got := parse(t, tc.args...)
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{}), cmpopts.IgnoreFields(cloud.Options{}, "Accounts", "Metrics")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFlagsThatCannotWork(t *testing.T) {
	t.Parallel()
	for arg, gates := range map[string]string{
		"--requeue-dependency=0s":                "",
		"--http-timeout=-1s":                     "",
		"--graceful-shutdown-timeout=-1s":        "",
		"--snapshot-digest-algo=md5":             "",
		"--watch-configs-label-selector=a in (":  "",
		"--default-kubeconfig-service-account=b": "",
		"--oom-watch-memory-threshold=0":         oomWatch,
		"--oom-watch-interval=0s":                oomWatch,
	} {
		o := parse(t, arg)
		err := o.validate(func(feature string) bool { return feature == gates })
		flag, _, _ := strings.Cut(arg, "=")
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: the error is %v; want one that names the flag", arg, err)
		}
		good := parse(t)
		if err := good.validate(func(feature string) bool { return feature == gates }); err != nil {
			t.Errorf("the defaults are refused: %v", err)
		}
	}
}

// TestFeatures: names and defaults are a contract, too.
func TestFeatures(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"CacheSecretsAndConfigMaps", "AdditiveCELDependencyCheck", "ExternalArtifact", "DisableConfigWatchers", "DirectSourceFetch",
		"CancelHealthCheckOnNewRevision", "ObjectLevelWorkloadIdentity", "DetectDrift", "CorrectDrift", "AllowDNSLookups", "OOMWatch",
		"AdoptLegacyReleases", "DisableChartDigestTracking", "UseHelm3Defaults", "DefaultToRetryOnFailure",
	} {
		if on, ok := features()[name]; !ok || on {
			t.Errorf("feature %s: known %t, on %t; want it to be known, and off", name, ok, on)
		}
	}
}

// TestInertFeatures are features, or nobody is told of them.
func TestInertFeatures(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"AdoptLegacyReleases"}, inert()); diff != "" {
		t.Errorf("features of no effect (-want +got):\n%s", diff)
	}
	for _, name := range inert() {
		if _, ok := features()[name]; !ok {
			t.Errorf("%s is no feature", name)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		on   []string
		want helmrelease.Defaults
	}{
		"as documented": {},
		"of Helm 3": {on: []string{useHelm3Defaults}, want: helmrelease.Defaults{
			ClientSide: true, PostRender: helmv2.PostRenderStrategyNoHooks, Wait: helmv2.WaitStrategyLegacy,
		}},
		"retrying":         {on: []string{defaultRetryOnFailure}, want: helmrelease.Defaults{Strategy: helmv2.StrategyRetryOnFailure}},
		"detecting drift":  {on: []string{detectDrift}, want: helmrelease.Defaults{Drift: helmv2.DriftDetectionWarn}},
		"correcting drift": {on: []string{detectDrift, correctDrift}, want: helmrelease.Defaults{Drift: helmv2.DriftDetectionEnabled}},
		"without a look":   {on: []string{correctDrift}},
	}
	for name, tc := range tests {
		got := defaults(func(feature string) bool {
			for _, on := range tc.on {
				if on == feature {
					return true
				}
			}
			return false
		})
		if diff := cmp.Diff(tc.want, got); diff != "" {
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
