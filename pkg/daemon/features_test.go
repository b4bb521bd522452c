package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestFeatures(t *testing.T) {
	t.Parallel()
	have := features{"Cache": false, "Watch": true}
	tests := map[string]struct {
		why   string
		args  []string
		want  features
		names []string // what the error must name
	}{
		"defaults":          {want: features{"Cache": false, "Watch": true}},
		"one":               {args: []string{"--feature-gates=Cache=true"}, want: features{"Cache": true, "Watch": true}},
		"several":           {args: []string{"--feature-gates=Cache=true, Watch=false"}, want: features{"Cache": true, "Watch": false}},
		"given twice":       {why: "patches add arguments", args: []string{"--feature-gates=Cache=true", "--feature-gates=Watch=false"}, want: features{"Cache": true, "Watch": false}},
		"the last counts":   {args: []string{"--feature-gates=Cache=true,Cache=false"}, want: features{"Cache": false, "Watch": true}},
		"nothing":           {args: []string{"--feature-gates="}, want: features{"Cache": false, "Watch": true}},
		"none that we have": {why: "a typing error must not pass", args: []string{"--feature-gates=Cash=true"}, names: []string{"Cash", "Cache (false), Watch (true)"}},
		"no value":          {args: []string{"--feature-gates=Cache"}, names: []string{`"Cache"`, "Cache=true"}},
		"a value of none":   {args: []string{"--feature-gates=Cache=on please"}, names: []string{"Cache=true"}},
	}
	for name, tc := range tests {
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		on := bindFeatures(fs, have)
		err := fs.Parse(tc.args)
		if len(tc.names) > 0 {
			if err == nil {
				t.Errorf("%s: %q is accepted (%s)", name, tc.args, tc.why)
				continue
			}
			for _, want := range tc.names {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error does not name %q: %v", name, want, err)
				}
			}
			continue
		}
		if diff := cmp.Diff(tc.want, on); err != nil || diff != "" {
			t.Errorf("%s: %v, features (-want +got):\n%s%s", name, err, diff, tc.why)
		}
	}
}

// TestInertFeatures: who turns one on is told that nothing comes of it.
func TestInertFeatures(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	bindFeatures(fs, features{"Cache": false, "Old": false}, "Old")
	const want = "there are Cache (false), Old (of no effect)"
	if usage := fs.FlagUsages(); !strings.Contains(usage, want) {
		t.Errorf("the usage is %q; want it to say %q", usage, want)
	}
	if err := fs.Parse([]string{"--feature-gates=New=true"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v; want it to say %q", err, want)
	}
	if err := fs.Parse([]string{"--feature-gates=Old=true"}); err != nil {
		t.Errorf("it is refused: %v", err)
	}
}

func TestAddressesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		args []string
		env  map[string]string
		want [2]string // of metrics and events
	}{
		"neither":  {want: [2]string{":8080", ""}},
		"variable": {env: map[string]string{"METRICS_ADDR": ":1", "EVENTS_ADDR": "http://a"}, want: [2]string{":1", "http://a"}},
		"both":     {why: "a flag is nearer", args: []string{"--metrics-addr=:2", "--events-addr="}, env: map[string]string{"METRICS_ADDR": ":1", "EVENTS_ADDR": "http://a"}, want: [2]string{":2", ""}},
	}
	for name, tc := range tests {
		d := New("test", nil)
		if err := d.Flags.Parse(tc.args); err != nil {
			t.Fatal(err)
		}
		d.opts.fromEnvironment(d.Flags, func(key string) string { return tc.env[key] })
		if got := [2]string{d.opts.metricsAddr, d.opts.eventsAddr}; got != tc.want {
			t.Errorf("%s: addresses %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}
