package daemon_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"weir.dev/pkg/daemon"
)

// TestFlags holds names and defaults to those that patches of existing Deployments
// count on.
func TestFlags(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"metrics-addr":                      ":8080",
		"health-addr":                       ":9440",
		"events-addr":                       "",
		"concurrent":                        "4",
		"kube-api-qps":                      "50",
		"kube-api-burst":                    "300",
		"min-retry-delay":                   "750ms",
		"max-retry-delay":                   "15m0s",
		"interval-jitter-percentage":        "5",
		"watch-all-namespaces":              "true",
		"watch-label-selector":              "",
		"log-level":                         "info",
		"log-encoding":                      "json",
		"enable-leader-election":            "false",
		"leader-election-release-on-cancel": "true",
		"leader-election-lease-duration":    "35s",
		"leader-election-renew-deadline":    "30s",
		"leader-election-retry-period":      "5s",
	}
	got := make(map[string]string)
	daemon.New("test", nil).Flags.VisitAll(func(f *pflag.Flag) { got[f.Name] = f.DefValue })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		args  []string
		names []string // what the error must name
	}{
		"no workers":               {why: "nothing would ever be reconciled", args: []string{"--concurrent=0"}, names: []string{"--concurrent", "0"}},
		"fewer than no workers":    {why: "nothing would ever be reconciled", args: []string{"--concurrent=-1"}, names: []string{"--concurrent", "-1"}},
		"a jitter of all":          {why: "an interval could become none", args: []string{"--interval-jitter-percentage=100"}, names: []string{"--interval-jitter-percentage", "100"}},
		"no delay":                 {why: "a failure would be repeated without a pause", args: []string{"--min-retry-delay=0s"}, names: []string{"--min-retry-delay", "0s"}},
		"delays the wrong way":     {why: "one of them is a mistake", args: []string{"--min-retry-delay=1h"}, names: []string{"--min-retry-delay", "--max-retry-delay", "1h0m0s", "15m0s"}},
		"a selector that is none":  {why: "it would select nothing, or everything", args: []string{"--watch-label-selector=a in"}, names: []string{"--watch-label-selector", `"a in"`}},
		"a selector for nothing":   {why: "without kinds it would select nothing", args: []string{"--watch-label-selector=a=b"}, names: []string{"--watch-label-selector", "kinds"}},
		"a namespace that is none": {why: "outside a cluster there is no own namespace", args: []string{"--watch-all-namespaces=false"}, names: []string{"--watch-all-namespaces", "RUNTIME_NAMESPACE"}},
		"a flag that is none":      {why: "a typing error must not pass", args: []string{"--concurent=4"}, names: []string{"--concurent"}},
		"a value that is none":     {why: "a typing error must not pass", args: []string{"--concurrent=many"}, names: []string{"--concurrent", "many"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newDaemon(t, newAPI(t), tc.args...).Parse()
			if err == nil {
				t.Fatalf("Parse accepts %q (%s)", tc.args, tc.why)
			}
			for _, name := range tc.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the error does not name %q: %v (%s)", name, err, tc.why)
				}
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		args  []string
		qps   float32
		burst int
	}{
		"is off":                 {why: "priority and fairness of the server decides", qps: -1},
		"is what the flags say":  {why: "the user knows better", args: []string{"--kube-api-qps=7", "--kube-api-burst=8"}, qps: 7, burst: 8},
		"has a default burst":    {why: "one flag asks for a limit", args: []string{"--kube-api-qps=7"}, qps: 7, burst: 300},
		"has a default rate":     {why: "one flag asks for a limit", args: []string{"--kube-api-burst=8"}, qps: 50, burst: 8},
		"may be set to defaults": {why: "that it is given is what counts", args: []string{"--kube-api-qps=50"}, qps: 50, burst: 300},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, newAPI(t), tc.args...)
			if err := d.Parse(); err != nil {
				t.Fatal(err)
			}
			if d.Config.QPS != tc.qps || d.Config.Burst != tc.burst {
				t.Errorf("limit is %v a second and a burst of %d, want %v and %d (%s)", d.Config.QPS, d.Config.Burst, tc.qps, tc.burst, tc.why)
			}
		})
	}
}

func TestWorkQueue(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, newAPI(t), "--concurrent=7", "--min-retry-delay=1s", "--max-retry-delay=3s", "--interval-jitter-percentage=10")
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	opts := d.ControllerOptions()
	if opts.MaxConcurrentReconciles != 7 {
		t.Errorf("%d workers, want 7", opts.MaxConcurrentReconciles)
	}
	item := reconcile.Request{NamespacedName: types.NamespacedName{Name: "a"}}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		if got := opts.RateLimiter.When(item); got != want {
			t.Errorf("failure %d waits %v, want %v", i+1, got, want)
		}
	}
	if again := d.ControllerOptions().RateLimiter.When(item); again != time.Second {
		t.Errorf("a second queue begins with %v: it shares the failures of the first", again)
	}
	if got := d.Jitter(); got != 0.1 {
		t.Errorf("jitter is %v, want 0.1", got)
	}
}

func TestElectionID(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("shard=a"))
	tests := map[string]struct {
		why      string
		selector string
		want     string
	}{
		"is that of the controller": {why: "an old and a new controller must not both lead", want: "test-leader-election"},
		"tells shards apart":        {why: "each shard has a leader", selector: "shard=a", want: "test-leader-election-" + hex.EncodeToString(sum[:])[:8]},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, newAPI(t), "--watch-label-selector="+tc.selector)
			d.Kinds = configMaps()
			if err := d.Parse(); err != nil {
				t.Fatal(err)
			}
			if got := daemon.ElectionID(d); got != tc.want {
				t.Errorf("the lease is %q, want %q (%s)", got, tc.want, tc.why)
			}
		})
	}
}
