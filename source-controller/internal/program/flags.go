package program

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
	"weir.dev/source-controller/internal/helm"
)

// options are the flags of this controller.
type options struct {
	storage          store.Options
	addr, advertised string // where artifacts are served, and how consumers get there
	algorithm        string // of storage
	requeue          time.Duration
	algorithms       git.Algorithms
	helm             helm.Options
	tokens           cloud.Options
	configs          string
}

func (o *options) bind(fs *pflag.FlagSet, getenv func(string) string) {
	fs.StringVar(&o.storage.Dir, "storage-path", cmp.Or(getenv("STORAGE_PATH"), "/data"), "folder of the artifacts, which must exist (environment: STORAGE_PATH)")
	fs.StringVar(&o.addr, "storage-addr", cmp.Or(getenv("STORAGE_ADDRESS"), ":9090"), "address on which artifacts are served (environment: STORAGE_ADDRESS)")
	fs.StringVar(&o.advertised, "storage-adv-addr", getenv("STORAGE_ADV_ADDR"), "host, or URL, by which consumers reach --storage-addr; empty means to derive it (environment: STORAGE_ADV_ADDR)")
	fs.StringVar(&o.algorithm, "artifact-digest-algo", string(artifact.SHA256), "algorithm of the digest of artifacts: sha256, sha384, sha512 or blake3")
	fs.DurationVar(&o.storage.TTL, "artifact-retention-ttl", time.Minute, "age at which an artifact that is no longer advertised may be removed")
	fs.IntVar(&o.storage.Keep, "artifact-retention-records", 2, "number of artifacts to keep of each source, with the advertised one")
	fs.Int64Var(&o.storage.MaxSize, "artifact-max-size", 256<<20, "bytes above which an artifact is refused")
	fs.DurationVar(&o.requeue, "requeue-dependency", 30*time.Second, "time after which a source that is not ready is looked at again by who needs it; its becoming ready is noticed at once")
	fs.StringSliceVar(&o.algorithms.KeyExchanges, "ssh-kex-algos", nil, "key exchange algorithms of SSH remotes, the most wanted first; empty means all that are secure")
	fs.StringSliceVar(&o.algorithms.HostKeys, "ssh-hostkey-algos", nil, "host key algorithms of SSH remotes, the most wanted first; empty means those of the known hosts")
	fs.IntVar(&o.tokens.CacheSize, "token-cache-max-size", cloud.DefaultCacheSize, "number of tokens of clouds and apps to keep; 0 means none")
	fs.DurationVar(&o.tokens.CacheDuration, "token-cache-max-duration", time.Hour, "longest time to keep a token, an hour at most")
	fs.StringVar(&o.tokens.DefaultServiceAccount, "default-service-account", "", "ServiceAccount whose identity objects have that name none; needs the feature gate "+cloud.FeatureGate)
	fs.StringVar(&o.configs, "watch-configs-label-selector", "reconcile.fluxcd.io/watch=Enabled", "of no effect: Secrets are read when they are needed")
	o.helm.Bind(fs)
}

// validate refuses what cannot work, naming the flag, and completes the options.
func (o *options) validate() error {
	// The store would take what is not positive for its defaults.
	if o.storage.Keep < 1 {
		return fmt.Errorf("--artifact-retention-records is %d: it must be 1 or more, for the advertised artifact", o.storage.Keep)
	}
	if o.storage.TTL <= 0 {
		return fmt.Errorf("--artifact-retention-ttl is %s: it must be positive", o.storage.TTL)
	}
	if o.requeue <= 0 {
		return fmt.Errorf("--requeue-dependency is %s: it must be positive", o.requeue)
	}
	if err := o.algorithms.Validate(); err != nil {
		return fmt.Errorf("--ssh-kex-algos, --ssh-hostkey-algos: %w", err)
	}
	var err error
	if o.storage.Algorithm, err = artifact.ParseAlgorithm(o.algorithm); err != nil {
		return fmt.Errorf("--artifact-digest-algo: %w", err)
	}
	return o.helm.Validate()
}

// identities are the options of what gets tokens.
func (o *options) identities(d *daemon.Daemon, accounts *followed.Objects) cloud.Options {
	tokens := o.tokens
	tokens.Accounts = func(asks cloud.Object) client.Reader { return accounts.Beside(asks.Kind, asks.Namespace, asks.Name) }
	tokens.ObjectLevel, tokens.Metrics = d.Enabled(cloud.FeatureGate), metrics.Registry
	return tokens
}
