package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"

	"weir.dev/deploy/cli/internal/session"
)

// open returns a session with flags and an environment, and what it says.
func open(t *testing.T, env map[string]string, args ...string) (*session.Session, *strings.Builder) {
	t.Helper()
	var said strings.Builder
	s := session.New(session.Streams{Out: &said, Err: &said}, func(key string) string { return env[key] })
	flags := pflag.NewFlagSet("weir", pflag.ContinueOnError)
	s.Bind(flags)
	if err := flags.Parse(append([]string{"--cache-dir", t.TempDir()}, args...)); err != nil {
		t.Fatal(err)
	}
	return s, &said
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, namespace: of-context}}
- {name: two, context: {cluster: c, namespace: of-two}}
clusters:
- {name: c, cluster: {server: "http://%s"}}
`

// config writes a kubeconfig for a server.
func config(t *testing.T, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, fmt.Appendf(nil, kubeconfig, server), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamespace(t *testing.T) {
	t.Parallel()
	file := config(t, "127.0.0.1:1")
	tests := map[string]struct {
		why, want string
		env       map[string]string
		args      []string
	}{
		"default":       {why: "controllers are there", want: "flux-system"},
		"flag":          {why: "it was said", want: "prod", args: []string{"-n", "prod"}},
		"environment":   {why: "it is another default", want: "gitops", env: map[string]string{"FLUX_SYSTEM_NAMESPACE": "gitops"}},
		"flag first":    {why: "a flag is nearer", want: "prod", env: map[string]string{"FLUX_SYSTEM_NAMESPACE": "gitops"}, args: []string{"-n", "prod"}},
		"context":       {why: "it was asked for", want: "of-context", args: []string{"--ns-follows-kube-context", "--kubeconfig", file}},
		"other context": {why: "the context is named", want: "of-two", args: []string{"--context", "two", "--kubeconfig", file}, env: map[string]string{"FLUX_NS_FOLLOWS_KUBE_CONTEXT": "true"}},
		"flag, context": {why: "a flag is nearer", want: "prod", args: []string{"--ns-follows-kube-context", "--kubeconfig", file, "-n", "prod"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t, tc.env, tc.args...)
			if got := s.Namespace(); got != tc.want {
				t.Errorf("namespace %q, want %q (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestLimitsAreNoneUnlessAskedFor(t *testing.T) {
	t.Parallel()
	file := config(t, "127.0.0.1:1")
	s, _ := open(t, nil, "--kubeconfig", file)
	cfg, err := s.Config()
	if err != nil || cfg.QPS != -1 {
		t.Errorf("QPS %v, %v; want no limit", cfg.QPS, err)
	}
	s, _ = open(t, nil, "--kubeconfig", file, "--kube-api-qps", "5", "--kube-api-burst", "7")
	if cfg, err = s.Config(); err != nil || cfg.QPS != 5 || cfg.Burst != 7 {
		t.Errorf("QPS %v, burst %d, %v; want what was asked for", cfg.QPS, cfg.Burst, err)
	}
}

// refusing is an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestConnection(t *testing.T) {
	t.Parallel()
	list := func(s *session.Session) error {
		c, err := s.Client()
		if err != nil {
			return err
		}
		return c.List(t.Context(), &corev1.NamespaceList{})
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"no file":      {args: []string{"--kubeconfig", "/does/not/exist"}, want: []string{"✗ ", "/does/not/exist", "--kubeconfig"}},
		"no context":   {args: []string{"--kubeconfig", config(t, "127.0.0.1:1"), "--context", "three"}, want: []string{"three", "get-contexts"}},
		"nobody there": {args: []string{"--kubeconfig", config(t, refusing(t))}, want: []string{"the API server cannot be reached", "--context", "weir up"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, said := open(t, nil, tc.args...)
			if code := s.End(list(s)); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, part := range tc.want {
				if !strings.Contains(said.String(), part) {
					t.Errorf("said %q, which does not have %q", said, part)
				}
			}
		})
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Group: "kustomize.toolkit.fluxcd.io", Resource: "kustomizations"}
	timedOut, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		why  string
		err  error
		code int
		want string
	}{
		"well":         {why: "nothing is said of success"},
		"plain":        {err: errors.New("it broke"), code: 1, want: "✗ it broke\n"},
		"drift":        {why: "diff ends with 1 and 2", err: &session.Exit{Code: 2, Err: errors.New("it broke")}, code: 2, want: "✗ it broke\n"},
		"silent":       {why: "drift is no error", err: &session.Exit{Code: 1}, code: 1},
		"hint":         {err: session.Hint(errors.New("it broke"), "mend %s", "it"), code: 1, want: "✗ it broke\n  mend it\n"},
		"wrapped hint": {why: "what is nearest to the cause knows best", err: session.Hint(fmt.Errorf("doing: %w", session.Hint(errors.New("it broke"), "first")), "second"), code: 1, want: "✗ doing: it broke\n  first\n"},
		"unauthorized": {err: apierrors.NewUnauthorized("who are you"), code: 1, want: "✗ the API server does not accept these credentials: who are you\n  log in to the cluster again, or name another user by --context or --user\n"},
		"forbidden": {err: apierrors.NewForbidden(resource, "apps", errors.New("no")), code: 1, want: `✗ kustomizations.kustomize.toolkit.fluxcd.io "apps" is forbidden: no
  the ClusterRoles flux-view-flux-system and flux-edit-flux-system allow to see and to change what weir does: ask who administers the cluster for one of them
`},
		"not installed": {err: &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "notification.toolkit.fluxcd.io", Kind: "Alert"}}, code: 1, want: "✗ the cluster does not have the kind Alert (notification.toolkit.fluxcd.io)\n  see what is installed, and what is not: weir check\n"},
		"no cluster":    {why: "who has none can try one", err: clientcmd.ErrEmptyConfig, code: 1, want: "✗ no cluster is configured: " + clientcmd.ErrEmptyConfig.Error() + "\n  name one by --kubeconfig or KUBECONFIG, or start one on this machine: weir up\n"},
		"ended":         {why: "what ends a call is no connection error", err: timedOut.Err(), code: 1, want: "✗ context canceled\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, said := open(t, nil)
			if code := s.End(tc.err); code != tc.code || said.String() != tc.want {
				t.Errorf("ended with %d and %q; want %d and %q (%s)", code, said, tc.code, tc.want, tc.why)
			}
		})
	}
}

func TestContextEndsByTheTimeout(t *testing.T) {
	t.Parallel()
	s, _ := open(t, nil, "--timeout", "1ms")
	ctx, cancel := s.Context(t.Context())
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if cause := context.Cause(ctx); cause.Error() != "timed out after 1ms" || !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("the cause is %v", cause)
	}
}

func TestVerboseTellsRequests(t *testing.T) {
	t.Parallel()
	s, said := open(t, nil, "--verbose", "--kubeconfig", config(t, "127.0.0.1:1"))
	asked := 0
	s.Wrap = func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { asked++; return nil, errors.New("no") })
	}
	client, err := s.REST()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Get().AbsPath("/version").MaxRetries(0).Do(t.Context()).Error(); err == nil {
		t.Fatal("the request was answered by nobody")
	}
	if asked == 0 || !strings.Contains(said.String(), "GET /version: no answer after ") {
		t.Errorf("asked %d times, said %q", asked, said)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
