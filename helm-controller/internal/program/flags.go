package program

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"weir.dev/helm-controller/internal/oom"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/tenant"
)

// Features that a user can turn on and off.
const (
	externalArtifact       = "ExternalArtifact"
	disableConfigWatchers  = "DisableConfigWatchers"
	directSourceFetch      = "DirectSourceFetch"
	additiveReadyExpr      = "AdditiveCELDependencyCheck"
	cancelHealthCheck      = "CancelHealthCheckOnNewRevision"
	detectDrift            = "DetectDrift"
	correctDrift           = "CorrectDrift"
	allowDNSLookups        = "AllowDNSLookups"
	oomWatch               = "OOMWatch"
	disableChartDigest     = "DisableChartDigestTracking"
	useHelm3Defaults       = "UseHelm3Defaults"
	defaultRetryOnFailure  = "DefaultToRetryOnFailure"
	adoptLegacyReleasesOld = "AdoptLegacyReleases"
)

// features are those of this controller, with their defaults.
func features() map[string]bool {
	return map[string]bool{
		daemon.CacheSecretsAndConfigMaps: false,
		cloud.FeatureGate:                false,
		externalArtifact:                 false,
		disableConfigWatchers:            false,
		directSourceFetch:                false,
		additiveReadyExpr:                false,
		cancelHealthCheck:                false,
		detectDrift:                      false,
		correctDrift:                     false,
		allowDNSLookups:                  false,
		oomWatch:                         false,
		disableChartDigest:               false,
		useHelm3Defaults:                 false,
		defaultRetryOnFailure:            false,
		adoptLegacyReleasesOld:           false,
	}
}

// inert are the features that have no effect, here as in the contract.
func inert() []string { return []string{adoptLegacyReleasesOld} }

// options are the flags of this controller.
type options struct {
	requeueDependency    time.Duration
	noCrossNamespaceRefs bool
	overrideManagers     []string
	httpRetry            int
	httpTimeout          time.Duration
	grace                time.Duration
	defaultAccount       string
	kubeconfigAccount    string
	kubeconfigs          tenant.Kubeconfigs
	configs              string
	told                 labels.Selector // what configs means, by validate
	digest               string
	memory               oom.Options
	tokens               cloud.Options
}

func (o *options) bind(fs *pflag.FlagSet) {
	fs.DurationVar(&o.requeueDependency, "requeue-dependency", 30*time.Second, "time after which something that is not ready is looked at again; its becoming ready is noticed at once")
	fs.BoolVar(&o.noCrossNamespaceRefs, "no-cross-namespace-refs", false, "refuse references to objects of other namespaces")
	fs.StringArrayVar(&o.overrideManagers, "override-manager", nil, "field manager whose fields are taken over, besides those of kubectl; may be given several times")
	fs.IntVar(&o.httpRetry, "http-retry", 9, "number of times that the download of a chart is tried again")
	fs.DurationVar(&o.httpTimeout, "http-timeout", 30*time.Second, "longest time that the download of a chart may take, each time that it is tried")
	fs.DurationVar(&o.grace, "graceful-shutdown-timeout", 600*time.Second, "time that Helm actions which are under way have to end when the process is stopped")
	fs.StringVar(&o.defaultAccount, "default-service-account", "", "ServiceAccount as which HelmReleases are carried out that name none; empty means the controller")
	fs.StringVar(&o.kubeconfigAccount, "default-kubeconfig-service-account", "", "ServiceAccount whose identity opens other clusters for those that name none; needs the feature gate "+cloud.FeatureGate)
	fs.BoolVar(&o.kubeconfigs.Exec, "insecure-kubeconfig-exec", false, "let kubeconfigs name a program to run for credentials")
	fs.BoolVar(&o.kubeconfigs.InsecureTLS, "insecure-kubeconfig-tls", false, "let kubeconfigs turn off the verification of the server")
	fs.StringVar(&o.configs, "watch-configs-label-selector", "", "labels of the Secrets and ConfigMaps whose changes ask for runs of those who read them; empty means all")
	fs.StringVar(&o.digest, "snapshot-digest-algo", string(digest.Canonical), "algorithm of the digests of releases in status.history: sha256, sha384 or sha512")
	fs.Uint8Var(&o.memory.Threshold, "oom-watch-memory-threshold", 95, "percentage of the memory limit at which the process stops gracefully; needs the feature gate "+oomWatch)
	fs.DurationVar(&o.memory.Interval, "oom-watch-interval", 500*time.Millisecond, "time between two looks at the memory in use; needs the feature gate "+oomWatch)
	fs.StringVar(&o.memory.MaxPath, "oom-watch-max-memory-path", "", "file with the memory limit; empty means that of the control group")
	fs.StringVar(&o.memory.CurrentPath, "oom-watch-current-memory-path", "", "file with the memory in use; empty means that of the control group")
	fs.IntVar(&o.tokens.CacheSize, "token-cache-max-size", cloud.DefaultCacheSize, "number of tokens of clouds to keep; 0 means none")
	fs.DurationVar(&o.tokens.CacheDuration, "token-cache-max-duration", time.Hour, "longest time to keep a token, an hour at most")
}

// validate refuses what cannot work, naming the flag, and reads what is a text.
func (o *options) validate(enabled func(feature string) bool) error {
	switch {
	case o.requeueDependency <= 0:
		return fmt.Errorf("--requeue-dependency is %s: it must be positive", o.requeueDependency)
	case o.httpTimeout <= 0:
		return fmt.Errorf("--http-timeout is %s: it must be positive", o.httpTimeout)
	case o.grace < 0:
		return fmt.Errorf("--graceful-shutdown-timeout is %s: it must not be negative", o.grace)
	case !digest.Algorithm(o.digest).Available():
		return fmt.Errorf("--snapshot-digest-algo is %q: use sha256, sha384 or sha512", o.digest)
	case o.kubeconfigAccount != "" && !enabled(cloud.FeatureGate):
		return fmt.Errorf("--default-kubeconfig-service-account needs the feature gate %s", cloud.FeatureGate)
	}
	if enabled(oomWatch) {
		if err := o.memory.Validate(); err != nil {
			return err
		}
	}
	var err error
	if o.told, err = labels.Parse(o.configs); err != nil {
		return fmt.Errorf("--watch-configs-label-selector is %q: %w", o.configs, err)
	}
	return nil
}

// retries is the flag in the terms of those who download, where 0 means the default.
func (o *options) retries() int {
	if o.httpRetry <= 0 {
		return -1
	}
	return o.httpRetry
}
