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
		in   options
		says string
	}{
		"no record":       {in: options{keep: 0, ttl: time.Minute}, says: "--artifact-retention-records"},
		"no time":         {in: options{keep: 2, ttl: 0}, says: "--artifact-retention-ttl"},
		"a negative time": {in: options{keep: 2, ttl: -time.Second}, says: "--artifact-retention-ttl"},
		"one of each":     {in: options{keep: 1, ttl: time.Nanosecond}},
	}
	for name, tc := range tests {
		err := tc.in.validate()
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to name %q", name, err, tc.says)
		}
	}
}

// TestFlags: names and defaults are a contract with the Deployments that exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		env  map[string]string
		args []string
		want options
	}{
		"defaults": {
			want: options{path: "/data", addr: ":9090", algorithm: "sha256", ttl: time.Minute, keep: 2, maxSize: 256 << 20},
		},
		"environment": {
			env:  map[string]string{"STORAGE_PATH": "/p", "STORAGE_ADDRESS": ":1", "STORAGE_ADV_ADDR": "a"},
			want: options{path: "/p", addr: ":1", advertised: "a", algorithm: "sha256", ttl: time.Minute, keep: 2, maxSize: 256 << 20},
		},
		"flags": {
			why: "a flag counts more than the environment",
			env: map[string]string{"STORAGE_PATH": "/p", "STORAGE_ADDRESS": ":1", "STORAGE_ADV_ADDR": "a"},
			args: []string{
				"--storage-path=/q", "--storage-addr=:2", "--storage-adv-addr=b", "--artifact-digest-algo=sha512",
				"--artifact-retention-ttl=1h", "--artifact-retention-records=3", "--artifact-max-size=7",
			},
			want: options{path: "/q", addr: ":2", advertised: "b", algorithm: "sha512", ttl: time.Hour, keep: 3, maxSize: 7},
		},
	}
	for name, tc := range tests {
		var got options
		fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
		got.bind(fs, func(key string) string { return tc.env[key] })
		if err := fs.Parse(tc.args); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("%s: options (-want +got):\n%s\n(%s)", name, diff, tc.why)
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
