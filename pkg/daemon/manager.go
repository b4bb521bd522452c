package daemon

import (
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/pprof"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
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

// connect finds the API server, unless the caller has brought a connection.
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
	return nil
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
		Scheme: scheme,
		Logger: d.Log,
		Cache:  cached,
		Client: client.Options{Cache: &client.CacheOptions{
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}},
		}},
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

// cacheOptions restricts the cache to what the flags select. managedFields of
// our own kinds are of no use to us and often larger than the rest.
func (d *Daemon) cacheOptions() (cache.Options, error) {
	opts := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	if d.opts.selector != "" {
		selector, err := labels.Parse(d.opts.selector)
		if err != nil {
			return opts, fmt.Errorf("--watch-label-selector is %q: %w", d.opts.selector, err)
		}
		opts.DefaultLabelSelector = selector
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
