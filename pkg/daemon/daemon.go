// Package daemon is the process around a controller: flags, logging, the
// connection to the API server, the manager with its cache and leader election,
// metrics, probes, profiles and events. Every weir controller has the same.
//
// A program calls Main once, with a function that reads like a sentence: add own
// flags, Parse, open what is needed, Start the reconcilers. Environment variables
// are read here and nowhere else.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/fluxcd/pkg/runtime/events"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/fluxcd/pkg/runtime/metrics"
	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"weir.dev/pkg/loop"
)

// shutdownGrace is how long a server may take to finish open requests.
const shutdownGrace = 5 * time.Second

// durations registers the metric of run durations with the process-wide registry
// that the metrics endpoint serves, once, however many daemons a test starts.
var durations = sync.OnceValue(metrics.MustMakeRecorder)

// Daemon is one controller process. Parse makes it complete.
type Daemon struct {
	// Name is the name of the controller: of its Deployment, its field manager,
	// its leader-election lease and its events.
	Name string
	// Flags holds the flags that all controllers share; a program adds its own
	// before Parse.
	Flags *pflag.FlagSet
	// Kinds are those that the program reconciles, to be named before Parse.
	// --watch-label-selector selects among their objects; what these refer to is
	// found whatever its labels are.
	Kinds []client.Object
	// Features are what --feature-gates can turn on and off, with the defaults, to be
	// named before Parse; without any there is no such flag.
	Features map[string]bool
	// InertFeatures are those of Features that have no effect, which users are told.
	InertFeatures []string
	// Config is the connection to the API server. Parse fills it in from
	// KUBECONFIG or the Pod's service account unless it is set.
	Config *rest.Config
	// Getenv looks up an environment variable; os.Getenv unless it is set.
	Getenv func(string) string
	// Log is the root logger; the one that the flags ask for unless it is set.
	Log logr.Logger

	args     []string
	opts     options
	features features
	manager  ctrl.Manager
}

// Reconciler is what Start takes: something that registers its watches.
type Reconciler interface {
	Register(d *Daemon) error
}

// New returns a Daemon that will parse args, which do not include the program.
func New(name string, args []string) *Daemon {
	d := &Daemon{Name: name, Flags: pflag.NewFlagSet(name, pflag.ContinueOnError), Getenv: os.Getenv, args: args}
	d.opts.bind(d.Flags)
	return d
}

// Main runs a controller until it is interrupted or fails, then exits.
func Main(name string, run func(context.Context, *Daemon) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	err := run(ctx, New(name, os.Args[1:]))
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// gcPercent is how much the heap may grow between two collections, unless GOGC says
// otherwise. Controllers hold much and make little, so memory is dearer than the time of
// collections.
const gcPercent = 50

// Parse reads the flags and connects the manager, without starting anything. The
// schemes make known the API types that the program works with. An API server that
// cannot be reached, or does not know us, is an error.
func (d *Daemon) Parse(schemes ...func(*runtime.Scheme) error) error {
	if len(d.Features) > 0 {
		d.features = bindFeatures(d.Flags, d.Features, d.InertFeatures...)
	}
	if err := d.Flags.Parse(d.args); err != nil {
		return err
	}
	d.opts.fromEnvironment(d.Flags, d.Getenv)
	if err := d.opts.validate(d.Flags); err != nil {
		return err
	}
	if d.Log.GetSink() == nil {
		d.Log = logger.NewLogger(d.opts.log)
		logger.SetLogger(d.Log)
		takeStandardLog(d.Log)
	}
	if err := d.connect(); err != nil {
		return err
	}
	manager, err := d.newManager(schemes)
	if err != nil {
		return err
	}
	d.manager = manager
	return nil
}

// Client reads from the cache and writes to the API server. Secrets and
// ConfigMaps are read from the API server, so that no more of them are held in
// memory than are used, unless the feature CacheSecretsAndConfigMaps is on.
func (d *Daemon) Client() client.Client { return d.manager.GetClient() }

// Live reads from the API server, past the cache.
func (d *Daemon) Live() client.Reader { return d.manager.GetAPIReader() }

// Manager returns the manager, for watches and indexes.
func (d *Daemon) Manager() ctrl.Manager { return d.manager }

// Recorder publishes the events of objects of an API group.
func (d *Daemon) Recorder(group string) (loop.Recorder, error) {
	r, err := events.NewRecorder(d.Log, d.opts.eventsAddr, d.Name,
		events.WithManager(d.manager), events.WithScheme(d.manager.GetScheme()))
	if err != nil {
		return nil, fmt.Errorf("recording events at --events-addr: %w", err)
	}
	return loop.NewRecorder(r, group), nil
}

// Durations records how long reconciliations take.
func (d *Daemon) Durations() *metrics.Recorder { return durations() }

// Jitter is the fraction of an interval by which runs are spread.
func (d *Daemon) Jitter() float64 { return float64(d.opts.jitterPercent) / 100 }

// Enabled reports whether a feature is turned on. It is false for one that is not in
// Features.
func (d *Daemon) Enabled(feature string) bool { return d.features[feature] }

// Selective reports whether only some objects are reconciled, and are in the cache: by
// --watch-label-selector, or those of one namespace.
func (d *Daemon) Selective() bool { return d.opts.selector != "" || !d.opts.allNamespaces }

// Namespace is where the controller itself runs; empty outside a cluster.
func (d *Daemon) Namespace() string { return d.Getenv("RUNTIME_NAMESPACE") }

// ControllerOptions returns how a work queue is worked off.
func (d *Daemon) ControllerOptions() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: d.opts.concurrent,
		RateLimiter:             loop.Backoff(d.opts.minRetryDelay, d.opts.maxRetryDelay),
	}
}

// Serve answers HTTP requests on addr with h while this process leads. The
// listener is open when Serve returns, so that a port that is taken is an error
// at the start; addr may end in ":0", and the address in use is returned.
func (d *Daemon) Serve(name, addr string, h http.Handler) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w", name, err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if err := d.manager.Add(&server{name: name, http: s, listener: l}); err != nil {
		return nil, errors.Join(fmt.Errorf("serving %s: %w", name, err), l.Close())
	}
	return l.Addr(), nil
}

// Start registers the reconcilers and runs until ctx ends or something fails.
func (d *Daemon) Start(ctx context.Context, reconcilers ...Reconciler) error {
	for _, r := range reconcilers {
		if err := r.Register(d); err != nil {
			return fmt.Errorf("registering %T: %w", r, err)
		}
	}
	d.Log.Info("starting", "controller", d.Name)
	if err := d.manager.Start(ctx); err != nil {
		return fmt.Errorf("running %s: %w", d.Name, err)
	}
	return nil
}

// server is an HTTP server that the manager starts and stops.
type server struct {
	name     string
	http     *http.Server
	listener net.Listener
}

// Start implements manager.Runnable. By default a runnable waits for leadership:
// only the leader has current files to serve.
func (s *server) Start(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving %s: %w", s.name, err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	return s.http.Shutdown(stopping)
}
