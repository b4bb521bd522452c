package program

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// TestFlags: names and defaults are a contract with the Deployments that exist.
func TestFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want options
	}{
		"by default": {want: options{requeueDependency: 30 * time.Second, concurrentSSA: 4, httpRetry: 9}},
		"all of them": {
			args: []string{"--requeue-dependency=5s", "--no-cross-namespace-refs", "--concurrent-ssa=8", "--http-retry=2"},
			want: options{requeueDependency: 5 * time.Second, noCrossNamespaceRefs: true, concurrentSSA: 8, httpRetry: 2},
		},
	}
	for name, tc := range tests {
		var got options
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		got.bind(fs)
		if err := fs.Parse(tc.args); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for flag, want := range map[int]int{9: 9, 1: 1, 0: -1, -5: -1} {
		if got := (&options{httpRetry: flag}).retries(); got != want {
			t.Errorf("--http-retry=%d makes %d retries; want %d", flag, got, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	if rewrite("") != nil {
		t.Error("artifacts are looked for elsewhere without being asked to")
	}
	u := &url.URL{Scheme: "http", Host: "source-controller.flux-system.svc.cluster.local.", Path: "/gitrepository/a/b/c.tar.gz"}
	rewrite("127.0.0.1:9090")(u)
	if want := "http://127.0.0.1:9090/gitrepository/a/b/c.tar.gz"; u.String() != want {
		t.Errorf("the URL is %s; want %s", u, want)
	}
}
