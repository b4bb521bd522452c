package daemon

import (
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/pprof"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// reachTimeout bounds the first request to the API server.
const reachTimeout = 30 * time.Second

// connect finds the API server, unless the caller has brought a connection, and
// makes sure that it answers.
func (d *Daemon) connect() error {
	if d.Config == nil {
		cfg, err := restConfig(d.Getenv("KUBECONFIG"))
		if err != nil {
			return fmt.Errorf("connecting to the API server: %w", err)
		}
		d.Config = cfg
	}
	d.Config.UserAgent = d.Name
	d.Config.QPS, d.Config.Burst = -1, 0
	if d.opts.throttle {
		d.Config.QPS, d.Config.Burst = d.opts.qps, d.opts.burst
	}
	if err := reach(d.Config); err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	return nil
}

// reach asks the API server for its version. The caches would try for minutes
// before they gave up.
func reach(cfg *rest.Config) error {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = reachTimeout
	c, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	if _, err = c.ServerVersion(); apierrors.IsForbidden(err) {
		return nil // it answers, and knows us
	}
	return err
}

// restConfig reads a kubeconfig file, or what a Pod has.
func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	cfg, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, fmt.Errorf("%w: set KUBECONFIG", err)
	}
	return cfg, err
}

// newManager makes the manager that the flags describe.
func (d *Daemon) newManager(schemes []func(*runtime.Scheme) error) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range append(schemes, clientgoscheme.AddToScheme) {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building scheme: %w", err)
		}
	}
	cached, err := d.cacheOptions()
	if err != nil {
		return nil, err
	}
	// Controllers are named once each by construction; the check would only
	// forbid two daemons in one test process.
	named := true
	mgr, err := ctrl.NewManager(d.Config, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        d.Log,
		Cache:                         cached,
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: d.uncached()}},
		Metrics:                       metricsserver.Options{BindAddress: d.opts.metricsAddr, ExtraHandlers: pprof.GetHandlers()},
		HealthProbeBindAddress:        d.opts.healthAddr,
		LeaderElection:                d.opts.election.Enable,
		LeaderElectionID:              d.electionID(),
		LeaderElectionNamespace:       d.Namespace(),
		LeaderElectionReleaseOnCancel: d.opts.election.ReleaseOnCancel,
		LeaseDuration:                 &d.opts.election.LeaseDuration,
		RenewDeadline:                 &d.opts.election.RenewDeadline,
		RetryPeriod:                   &d.opts.election.RetryPeriod,
		Controller:                    config.Controller{SkipNameValidation: &named},
	})
	if err != nil {
		return nil, fmt.Errorf("building manager: %w", err)
	}
	return mgr, errors.Join(mgr.AddReadyzCheck("ping", healthz.Ping), mgr.AddHealthzCheck("ping", healthz.Ping))
}

// uncached are the kinds that are read from the API server.
func (d *Daemon) uncached() []client.Object {
	if d.Enabled(CacheSecretsAndConfigMaps) {
		return nil
	}
	return []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}
}

// cacheOptions restricts the cache to what the flags select. managedFields of
// our own kinds are of no use to us and often larger than the rest.
func (d *Daemon) cacheOptions() (cache.Options, error) {
	opts := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	if d.opts.selector != "" {
		if len(d.Kinds) == 0 {
			return opts, fmt.Errorf("--watch-label-selector is %q, but %s does not say which kinds it reconciles", d.opts.selector, d.Name)
		}
		opts.ByObject = make(map[client.Object]cache.ByObject, len(d.Kinds))
		for _, kind := range d.Kinds {
			opts.ByObject[kind] = cache.ByObject{Label: d.opts.selected}
		}
	}
	if !d.opts.allNamespaces {
		if d.Namespace() == "" {
			return opts, errors.New("--watch-all-namespaces=false needs the environment variable RUNTIME_NAMESPACE")
		}
		opts.DefaultNamespaces = map[string]cache.Config{d.Namespace(): {}}
	}
	return opts, nil
}

// electionID names the lease: shards elect separately.
func (d *Daemon) electionID() string {
	id := d.Name + "-leader-election"
	if d.opts.selector == "" {
		return id
	}
	return leaderelection.GenerateID(id, d.opts.selector)
}
