package program

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/daemon"
)

// TestFlags: names and defaults are a contract with the Deployments that exist, of two
// controllers.
func TestFlags(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"storage-path": "/data", "storage-compression-threshold": "64", "storage-value-log-file-size": "268435456", "gc-interval": "10",
		"requeue-dependency": "30s", "no-cross-namespace-refs": "false", "ssh-kex-algos": "[]", "ssh-hostkey-algos": "[]",
		"token-cache-max-size": "100", "token-cache-max-duration": "1h0m0s", "default-service-account": "",
		"watch-configs-label-selector": "reconcile.fluxcd.io/watch=Enabled",
	}
	got := make(map[string]string)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	new(options).bind(fs)
	fs.VisitAll(func(f *pflag.Flag) { got[f.Name] = f.DefValue })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

// TestFeatures: so are these.
func TestFeatures(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		"CacheSecretsAndConfigMaps": false, "ObjectLevelWorkloadIdentity": false, "FluxStorage": false,
		"GitForcePushBranch": true, "GitShallowClone": true, "GitAllBranchReferences": true, "GitSparseCheckout": false,
	}
	if diff := cmp.Diff(want, features()); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
}

// TestRefusesToStart names the flag, or what is to be done.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
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
		"no storage":               {args: []string{"--storage-path=" + file + "-gone"}, says: []string{"--storage-path", "create it"}},
		"storage that is a file":   {args: []string{"--storage-path=" + file}, says: []string{"--storage-path", "no folder"}},
		"a negative threshold":     {args: []string{"--storage-compression-threshold=-1"}, says: []string{"--storage-compression-threshold"}},
		"no time to wait":          {args: []string{"--requeue-dependency=0s"}, says: []string{"--requeue-dependency"}},
		"a feature that is none":   {args: []string{"--feature-gates=Magic=true"}, says: []string{"feature-gates", "Magic", "ObjectLevelWorkloadIdentity"}},
		"an identity, and no gate": {args: []string{"--default-service-account=x"}, says: []string{"service account", "ObjectLevelWorkloadIdentity"}},
		"an unknown key exchange":  {args: []string{"--ssh-kex-algos=rot13"}, says: []string{"--ssh-kex-algos", "rot13"}},
		"a flag that is none":      {args: []string{"--storage"}, says: []string{"unknown flag: --storage"}},
	}
	for name, tc := range tests {
		args := append([]string{"--metrics-addr=0", "--health-addr=0", "--log-level=error", "--storage-path=" + t.TempDir()}, tc.args...)
		d := daemon.New("image-controller", args)
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
