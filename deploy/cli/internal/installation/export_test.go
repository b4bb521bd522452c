package installation_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/deploy/install"
)

// offline runs the command where there is no cluster.
func offline(t *testing.T, args ...string) (out, err string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	s := session.New(session.Streams{In: strings.NewReader(""), Out: &o, Err: &e}, func(string) string { return "" })
	code = verb.Run(t.Context(), s, append(args, "--kubeconfig", filepath.Join(t.TempDir(), "none")))
	return o.String(), e.String(), code
}

func TestExportNeedsNoCluster(t *testing.T) {
	t.Parallel()
	o := install.Default()
	o.Namespace, o.Registry, o.Components, o.Lockdown = "gitops", "registry.example.com/weir", install.All(), true
	want, err := install.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	out, said, code := offline(t, "install", "--export", "-n", "gitops", "--registry", "registry.example.com/weir", "--profile", "all,lockdown")
	if code != 0 || out != string(want) || said != "" {
		t.Errorf("it ended with %d and %d bytes, and says %q; want the %d bytes of the manifest", code, len(out), said, len(want))
	}
}

func TestWithoutACluster(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		says []string
	}{
		"export without a registry": {[]string{"install", "--export"}, []string{"make images REGISTRY="}},
		"install":                   {[]string{"install", "--registry", "registry.example.com/weir"}, []string{"no such file"}},
		"uninstall":                 {[]string{"uninstall", "-s"}, []string{"no such file"}},
		"check":                     {[]string{"check", "--pre"}, []string{"no such file"}},
		"a version that it is not":  {[]string{"install", "--export", "--registry", "registry.example.com/weir", "--version", "v9.9.9"}, []string{"v9.9.9", "use the weir command of the version"}},
		"a component of Flux":       {[]string{"install", "--export", "--registry", "registry.example.com/weir", "--components-extra", "source-watcher"}, []string{"weir has no source-watcher"}},
	}
	for name, tc := range tests {
		out, said, code := offline(t, tc.args...)
		if code != 1 || out != "" {
			t.Errorf("%s: it ended with %d and printed %q", name, code, out)
		}
		for _, part := range tc.says {
			if !strings.Contains(said, part) {
				t.Errorf("%s: it says %q; want it to say %q", name, said, part)
			}
		}
	}
}
