package program

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/daemon"
)

func TestAdvertise(t *testing.T) {
	t.Parallel()
	inUse := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 41000}
	tests := map[string]struct {
		why                         string
		advertised, asked, hostname string
		want                        string
	}{
		"a host": {
			why:        "the Service has port 80, and a dot at the end saves look-ups",
			advertised: "source-controller.flux-system.svc.cluster.local.", asked: ":9090",
			want: "http://source-controller.flux-system.svc.cluster.local.",
		},
		"a host with a port":      {advertised: "artifacts.example.com:8080", asked: ":9090", want: "http://artifacts.example.com:8080"},
		"a URL":                   {why: "it is taken as it is", advertised: "https://artifacts.example.com/weir", asked: ":9090", want: "https://artifacts.example.com/weir"},
		"a URL with a slash":      {why: "a path follows", advertised: "http://artifacts.example.com/", asked: ":9090", want: "http://artifacts.example.com"},
		"every address":           {why: "this machine at least can reach it", asked: ":41000", hostname: "pod-1", want: "http://localhost:41000"},
		"every IPv4 address":      {why: "the name of a Pod is known in its cluster", asked: "0.0.0.0:41000", hostname: "pod-1", want: "http://pod-1:41000"},
		"every IPv6 address":      {asked: "[::]:41000", hostname: "pod-1", want: "http://pod-1:41000"},
		"every one, and no name":  {asked: "0.0.0.0:41000", want: "http://localhost:41000"},
		"one address":             {asked: "127.0.0.1:41000", hostname: "pod-1", want: "http://127.0.0.1:41000"},
		"one IPv6 address":        {asked: "[::1]:41000", want: "http://[::1]:41000"},
		"a port left open":        {why: "consumers need the one in use", asked: "127.0.0.1:0", want: "http://127.0.0.1:41000"},
		"any address and port":    {asked: ":0", want: "http://localhost:41000"},
		"what is no address":      {asked: "nonsense", want: "http://localhost:41000"},
		"a name that is not used": {advertised: "artifacts.example.com", asked: "0.0.0.0:9090", hostname: "pod-1", want: "http://artifacts.example.com"},
	}
	for name, tc := range tests {
		if got := advertise(tc.advertised, tc.asked, inUse, tc.hostname); got != tc.want {
			t.Errorf("%s: artifacts are advertised at %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestRetentionMustKeepSomething(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   store.Options
		says string
	}{
		"no record":       {in: store.Options{Keep: 0, TTL: time.Minute}, says: "--artifact-retention-records"},
		"no time":         {in: store.Options{Keep: 2, TTL: 0}, says: "--artifact-retention-ttl"},
		"a negative time": {in: store.Options{Keep: 2, TTL: -time.Second}, says: "--artifact-retention-ttl"},
		"one of each":     {in: store.Options{Keep: 1, TTL: time.Nanosecond}},
	}
	for name, tc := range tests {
		opts := parsed(t, nil)
		opts.storage.Keep, opts.storage.TTL = tc.in.Keep, tc.in.TTL
		err := opts.validate()
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to name %q", name, err, tc.says)
		}
	}
}

// parsed are the options of a command line.
func parsed(t *testing.T, env map[string]string, args ...string) options {
	t.Helper()
	var opts options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	opts.bind(fs, func(key string) string { return env[key] })
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return opts
}

// TestFlags: names and defaults are a contract with the Deployments that exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"storage-path": "/data", "storage-addr": ":9090", "storage-adv-addr": "",
		"artifact-digest-algo": "sha256", "artifact-retention-ttl": "1m0s", "artifact-retention-records": "2", "artifact-max-size": "268435456",
		"requeue-dependency": "30s", "ssh-kex-algos": "[]", "ssh-hostkey-algos": "[]",
		"token-cache-max-size": "100", "token-cache-max-duration": "1h0m0s", "default-service-account": "",
		"watch-configs-label-selector": "reconcile.fluxcd.io/watch=Enabled",
		"helm-index-max-size":          "52428800", "helm-chart-max-size": "10485760", "helm-chart-file-max-size": "5242880",
		"helm-cache-max-size": "0", "helm-cache-ttl": "15m0s", "helm-cache-purge-interval": "1m0s",
	}
	got := make(map[string]string)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	new(options).bind(fs, func(string) string { return "" })
	fs.VisitAll(func(f *pflag.Flag) { got[f.Name] = f.DefValue })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestFlagsCountMoreThanTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"STORAGE_PATH": "/p", "STORAGE_ADDRESS": ":1", "STORAGE_ADV_ADDR": "a"}
	tests := map[string]struct {
		args []string
		want [3]string
	}{
		"environment": {want: [3]string{"/p", ":1", "a"}},
		"flags":       {args: []string{"--storage-path=/q", "--storage-addr=:2", "--storage-adv-addr=b"}, want: [3]string{"/q", ":2", "b"}},
	}
	for name, tc := range tests {
		opts := parsed(t, env, tc.args...)
		if got := [3]string{opts.storage.Dir, opts.addr, opts.advertised}; got != tc.want {
			t.Errorf("%s: options %q; want %q", name, got, tc.want)
		}
	}
}

// TestRefusesToStart names the flag, or what is to be done.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}") // all that is asked for is the version
	}))
	t.Cleanup(api.Close)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		says []string
	}{
		"an algorithm that is none": {args: []string{"--artifact-digest-algo=md5"}, says: []string{"--artifact-digest-algo", "md5"}},
		"no storage":                {args: []string{"--storage-path=" + file + "-gone"}, says: []string{"--storage-path", "does not exist", "create it"}},
		"storage that is a file":    {args: []string{"--storage-path=" + file}, says: []string{"--storage-path", "is not a directory"}},
		"a negative number":         {args: []string{"--artifact-retention-records=-1"}, says: []string{"-1"}},
		"a negative age":            {args: []string{"--artifact-retention-ttl=-1m"}, says: []string{"-1m"}},
		"a feature that is none":    {args: []string{"--feature-gates=Magic=true"}, says: []string{"feature-gates", "Magic", "ObjectLevelWorkloadIdentity"}},
		"an identity, and no gate":  {args: []string{"--default-service-account=x"}, says: []string{"service account", "ObjectLevelWorkloadIdentity"}},
		"an unknown key exchange":   {args: []string{"--ssh-kex-algos=rot13"}, says: []string{"--ssh-kex-algos", "rot13"}},
		"no time to wait":           {args: []string{"--requeue-dependency=0s"}, says: []string{"--requeue-dependency"}},
		"no index":                  {args: []string{"--helm-index-max-size=0"}, says: []string{"helm-index-max-size"}},
		"an address that is taken":  {args: []string{"--storage-addr=" + taken.Addr().String()}, says: []string{"listening for artifacts", "in use"}},
		"a flag that is none":       {args: []string{"--artifacts"}, says: []string{"unknown flag: --artifacts"}},
	}
	for name, tc := range tests {
		args := append([]string{"--metrics-addr=0", "--health-addr=0", "--log-level=error", "--storage-addr=127.0.0.1:0", "--storage-path=" + t.TempDir()}, tc.args...)
		d := daemon.New("source-controller", args)
		d.Config = &rest.Config{Host: api.URL}
		d.Getenv = func(string) string { return "" }
		err := Run(t.Context(), d)
		if err == nil {
			t.Errorf("%s: it ran", name)
			continue
		}
		for _, part := range tc.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error is %q; want it to say %q", name, err, part)
			}
		}
	}
}
