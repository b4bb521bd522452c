package program

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// Features that a user can turn on and off.
const (
	externalArtifact      = "ExternalArtifact"
	disableConfigWatchers = "DisableConfigWatchers"
	directSourceFetch     = "DirectSourceFetch"
	additiveReadyExpr     = "AdditiveCELDependencyCheck"
	strictSubstitution    = "StrictPostBuildSubstitutions"
	disableFailFast       = "DisableFailFastBehavior"
	groupChangeLog        = "GroupChangeLog"
	migrateAPIVersion     = "MigrateAPIVersion"

	// These describe what is always so here: a new revision ends a wait, and there is
	// no poller to have a cache.
	cancelHealthCheck  = "CancelHealthCheckOnNewRevision"
	disablePollerCache = "DisableStatusPollerCache"
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
		strictSubstitution:               true,
		disableFailFast:                  false,
		groupChangeLog:                   false,
		migrateAPIVersion:                false,
		cancelHealthCheck:                false,
		disablePollerCache:               true,
	}
}

// options are the flags of this controller.
type options struct {
	requeueDependency    time.Duration
	noCrossNamespaceRefs bool
	noRemoteBases        bool
	concurrentSSA        int
	overrideManagers     []string
	customStage          string
	customKinds          manifest.Kinds // what customStage means, by validate
	httpRetry            int
	defaultAccount       string
	kubeconfigAccount    string
	kubeconfigs          tenant.Kubeconfigs
	configs              string
	told                 labels.Selector // what configs means, by validate
	ageSecret            string
	vaultConfig          string
	decryptionAccount    string
	tokens               cloud.Options
}

func (o *options) bind(fs *pflag.FlagSet) {
	fs.DurationVar(&o.requeueDependency, "requeue-dependency", 30*time.Second, "time after which something that is not ready is looked at again; its becoming ready is noticed at once")
	fs.BoolVar(&o.noCrossNamespaceRefs, "no-cross-namespace-refs", false, "refuse references to objects of other namespaces")
	fs.BoolVar(&o.noRemoteBases, "no-remote-bases", false, "of no effect: bases outside of the source are never fetched")
	fs.IntVar(&o.concurrentSSA, "concurrent-ssa", 4, "number of requests to the API server under way for one Kustomization")
	fs.StringArrayVar(&o.overrideManagers, "override-manager", nil, "field manager whose fields are taken over, besides those of kubectl; may be given several times")
	fs.StringVar(&o.customStage, "custom-apply-stage-kinds", "", "comma-separated list of group/Kind that are applied after definitions and classes, and before the rest")
	fs.IntVar(&o.httpRetry, "http-retry", 9, "number of times that the download of an artifact is tried again")
	fs.StringVar(&o.defaultAccount, "default-service-account", "", "ServiceAccount as which Kustomizations are applied that name none; empty means the controller")
	fs.StringVar(&o.kubeconfigAccount, "default-kubeconfig-service-account", "", "ServiceAccount whose identity opens other clusters for those that name none; needs the feature gate "+cloud.FeatureGate)
	fs.BoolVar(&o.kubeconfigs.Exec, "insecure-kubeconfig-exec", false, "let kubeconfigs name a program to run for credentials")
	fs.BoolVar(&o.kubeconfigs.InsecureTLS, "insecure-kubeconfig-tls", false, "let kubeconfigs turn off the verification of the server")
	fs.StringVar(&o.configs, "watch-configs-label-selector", "", "labels of the Secrets and ConfigMaps whose changes ask for runs of those who read them; empty means all")
	fs.StringVar(&o.ageSecret, "sops-age-secret", "", "Secret, in the namespace of the controller, with age identities for all Kustomizations that decrypt")
	fs.StringVar(&o.vaultConfig, "sops-vault-configmap", "", "ConfigMap, in the namespace of the controller, that lists the Vaults at which ServiceAccounts log in, under config.yaml")
	fs.StringVar(&o.decryptionAccount, "default-decryption-service-account", "", "ServiceAccount whose identity opens the key services of clouds for those that name none; needs the feature gate "+cloud.FeatureGate)
	fs.IntVar(&o.tokens.CacheSize, "token-cache-max-size", cloud.DefaultCacheSize, "number of tokens of clouds to keep; 0 means none")
	fs.DurationVar(&o.tokens.CacheDuration, "token-cache-max-duration", time.Hour, "longest time to keep a token, an hour at most")
}

// validate refuses what cannot work, naming the flag, and reads what is a text.
func (o *options) validate(namespace string, enabled func(feature string) bool) error {
	if o.requeueDependency <= 0 {
		return fmt.Errorf("--requeue-dependency is %s: it must be positive", o.requeueDependency)
	}
	var err error
	if o.customKinds, err = manifest.ParseKinds(o.customStage); err != nil {
		return fmt.Errorf("--custom-apply-stage-kinds: %w", err)
	}
	if o.told, err = labels.Parse(o.configs); err != nil {
		return fmt.Errorf("--watch-configs-label-selector is %q: %w", o.configs, err)
	}
	if o.kubeconfigAccount != "" && !enabled(cloud.FeatureGate) {
		return fmt.Errorf("--default-kubeconfig-service-account needs the feature gate %s", cloud.FeatureGate)
	}
	if o.decryptionAccount != "" && !enabled(cloud.FeatureGate) {
		return fmt.Errorf("--default-decryption-service-account needs the feature gate %s", cloud.FeatureGate)
	}
	if (o.ageSecret != "" || o.vaultConfig != "") && namespace == "" {
		return errors.New("--sops-age-secret and --sops-vault-configmap need the environment variable RUNTIME_NAMESPACE")
	}
	return nil
}

// retries is the flag in the terms of package fetch, where 0 means the default.
func (o *options) retries() int {
	if o.httpRetry <= 0 {
		return -1
	}
	return o.httpRetry
}
