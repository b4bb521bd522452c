package program

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
)

// Features that a user can turn on and off.
const (
	forcePushBranch = "GitForcePushBranch"

	// These describe what is always so here: lists of tags are files, one commit of the
	// branches that are needed is fetched, and of its tree what is looked at.
	fileStorage     = "FluxStorage"
	shallowClone    = "GitShallowClone"
	branchReference = "GitAllBranchReferences"
	sparseCheckout  = "GitSparseCheckout"
)

// features are those of this controller, with their defaults.
func features() map[string]bool {
	return map[string]bool{
		daemon.CacheSecretsAndConfigMaps: false,
		cloud.FeatureGate:                false,
		fileStorage:                      false,
		forcePushBranch:                  true,
		shallowClone:                     true,
		branchReference:                  true,
		sparseCheckout:                   false,
	}
}

// options are the flags of this controller.
type options struct {
	storage              string // folder
	compressAbove        int    // KiB
	valueLogSize         int64
	gcInterval           uint16
	requeueDependency    time.Duration
	noCrossNamespaceRefs bool
	algorithms           git.Algorithms
	tokens               cloud.Options
	configs              string
}

func (o *options) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.storage, "storage-path", "/data", "folder of what is kept between runs, which must exist: lists of tags and what was fetched of Git repositories")
	fs.IntVar(&o.compressAbove, "storage-compression-threshold", 64, "KiB above which a list of tags is compressed; 0 means always")
	fs.Int64Var(&o.valueLogSize, "storage-value-log-file-size", 256<<20, "of no effect: there is no database")
	fs.Uint16Var(&o.gcInterval, "gc-interval", 10, "of no effect: a list of tags is removed with its object")
	fs.DurationVar(&o.requeueDependency, "requeue-dependency", 30*time.Second, "time after which something that is not ready is looked at again; its becoming ready is noticed at once")
	fs.BoolVar(&o.noCrossNamespaceRefs, "no-cross-namespace-refs", false, "refuse references to objects of other namespaces")
	fs.StringSliceVar(&o.algorithms.KeyExchanges, "ssh-kex-algos", nil, "key exchange algorithms of SSH remotes, the most wanted first; empty means all that are secure")
	fs.StringSliceVar(&o.algorithms.HostKeys, "ssh-hostkey-algos", nil, "host key algorithms of SSH remotes, the most wanted first; empty means those of the known hosts")
	fs.IntVar(&o.tokens.CacheSize, "token-cache-max-size", cloud.DefaultCacheSize, "number of tokens of clouds and apps to keep; 0 means none")
	fs.DurationVar(&o.tokens.CacheDuration, "token-cache-max-duration", time.Hour, "longest time to keep a token, an hour at most")
	fs.StringVar(&o.tokens.DefaultServiceAccount, "default-service-account", "", "ServiceAccount whose identity objects have that name none; needs the feature gate "+cloud.FeatureGate)
	fs.StringVar(&o.configs, "watch-configs-label-selector", "reconcile.fluxcd.io/watch=Enabled", "of no effect: Secrets are followed by who reads them")
}

// validate refuses what cannot work, naming the flag.
func (o *options) validate() error {
	if o.compressAbove < 0 {
		return fmt.Errorf("--storage-compression-threshold is %d: it must not be negative", o.compressAbove)
	}
	if o.requeueDependency <= 0 {
		return fmt.Errorf("--requeue-dependency is %s: it must be positive", o.requeueDependency)
	}
	if err := o.algorithms.Validate(); err != nil {
		return fmt.Errorf("--ssh-kex-algos, --ssh-hostkey-algos: %w", err)
	}
	return nil
}

// identities are the options of what gets tokens.
func (o *options) identities(d *daemon.Daemon, accounts *followed.Objects) cloud.Options {
	tokens := o.tokens
	tokens.Accounts = func(asks cloud.Object) client.Reader { return accounts.Beside(asks.Kind, asks.Namespace, asks.Name) }
	tokens.ObjectLevel, tokens.Metrics = d.Enabled(cloud.FeatureGate), metrics.Registry
	return tokens
}
