package helm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"weir.dev/source-controller/internal/helm"
)

func parse(t *testing.T, args ...string) helm.Options {
	t.Helper()
	var o helm.Options
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.Bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestDefaults are those of the contract.
func TestDefaults(t *testing.T) {
	t.Parallel()
	want := helm.Options{
		IndexMaxSize: 52428800, ChartMaxSize: 10485760, ChartFileMaxSize: 5242880, CacheTTL: 15 * time.Minute, CachePurgeInterval: time.Minute,
	}
	got := parse(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		says string // empty means that they are fine
	}{
		"an index of no bytes": {[]string{"--helm-index-max-size=0"}, "--helm-index-max-size is 0"},
		"a negative chart":     {[]string{"--helm-chart-max-size=-1"}, "--helm-chart-max-size is -1"},
		"a file of no bytes":   {[]string{"--helm-chart-file-max-size=0"}, "--helm-chart-file-max-size is 0"},
		"a negative cache":     {[]string{"--helm-cache-max-size=-1"}, "--helm-cache-max-size is -1"},
		"a cache for no time":  {[]string{"--helm-cache-max-size=1", "--helm-cache-ttl=0"}, "--helm-cache-ttl is 0s"},
		"no cache for no time": {[]string{"--helm-cache-ttl=0"}, ""},
		"a cache":              {[]string{"--helm-cache-max-size=10"}, ""},
	}
	for name, tc := range tests {
		o := parse(t, tc.args...)
		err := o.Validate()
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v; want %q", name, err, tc.says)
		}
	}
}
