package daemon

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
)

// options are the flags that every controller has. Names and defaults are those
// of the public API's controllers, so that patches of their Deployments apply.
type options struct {
	metricsAddr   string
	healthAddr    string
	eventsAddr    string
	concurrent    int
	qps           float32
	burst         int
	throttle      bool
	minRetryDelay time.Duration
	maxRetryDelay time.Duration
	jitterPercent uint8
	allNamespaces bool
	selector      string
	selected      labels.Selector // what selector means, by validate
	log           logger.Options
	election      leaderelection.Options
}

// bind declares the flags.
func (o *options) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.metricsAddr, "metrics-addr", ":8080", "address of the metrics endpoint; 0 turns it off (environment: METRICS_ADDR)")
	fs.StringVar(&o.healthAddr, "health-addr", ":9440", "address of the probes /healthz and /readyz; 0 turns it off")
	fs.StringVar(&o.eventsAddr, "events-addr", "", "URL of the notification controller; empty means Kubernetes events only (environment: EVENTS_ADDR)")
	fs.IntVar(&o.concurrent, "concurrent", 4, "number of objects reconciled at the same time")
	fs.Float32Var(&o.qps, "kube-api-qps", 50, "limit of requests a second to the API server; no limit unless this or --kube-api-burst is given, the server's priority and fairness decides")
	fs.IntVar(&o.burst, "kube-api-burst", 300, "requests that may exceed --kube-api-qps at once")
	fs.DurationVar(&o.minRetryDelay, "min-retry-delay", 750*time.Millisecond, "delay before the first retry of a failed reconciliation")
	fs.DurationVar(&o.maxRetryDelay, "max-retry-delay", 15*time.Minute, "longest delay between retries of a failed reconciliation")
	fs.Uint8Var(&o.jitterPercent, "interval-jitter-percentage", 5, "percentage of an interval by which reconciliations are spread, both ways")
	fs.BoolVar(&o.allNamespaces, "watch-all-namespaces", true, "watch all namespaces; false means only that of the controller, RUNTIME_NAMESPACE")
	fs.StringVar(&o.selector, "watch-label-selector", "", "reconcile only objects with these labels; for sharding")
	o.log.BindFlags(fs)
	o.election.BindFlags(fs)
}

// fromEnvironment takes addresses that no flag gives from the environment, where some
// installations have them.
func (o *options) fromEnvironment(fs *pflag.FlagSet, getenv func(string) string) {
	for name, addr := range map[string]*string{"metrics-addr": &o.metricsAddr, "events-addr": &o.eventsAddr} {
		variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if value := getenv(variable); value != "" && !fs.Changed(name) {
			*addr = value
		}
	}
}

// validate refuses values that cannot work, naming the flag.
func (o *options) validate(fs *pflag.FlagSet) error {
	o.throttle = fs.Changed("kube-api-qps") || fs.Changed("kube-api-burst")
	if o.concurrent < 1 {
		return fmt.Errorf("--concurrent is %d: it must be 1 or more", o.concurrent)
	}
	if o.jitterPercent >= 100 {
		return fmt.Errorf("--interval-jitter-percentage is %d: it must be less than 100", o.jitterPercent)
	}
	if o.minRetryDelay <= 0 || o.maxRetryDelay < o.minRetryDelay {
		return fmt.Errorf("--min-retry-delay is %s and --max-retry-delay %s: the first must be positive and no more than the second", o.minRetryDelay, o.maxRetryDelay)
	}
	var err error
	if o.selected, err = labels.Parse(o.selector); err != nil {
		return fmt.Errorf("--watch-label-selector is %q: %w", o.selector, err)
	}
	return nil
}
