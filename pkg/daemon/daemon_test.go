package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/daemon"
)

// api is as much of an API server as a daemon asks before it starts.
type api struct {
	*httptest.Server

	mu     sync.Mutex
	agents map[string]bool // who has asked
}

// newAPI starts an API server that answers, and knows ConfigMaps.
func newAPI(t *testing.T) *api {
	t.Helper()
	return newAPIWith(t, http.StatusOK)
}

// newAPIWith starts one that answers the first question with a status.
func newAPIWith(t *testing.T, status int) *api {
	t.Helper()
	a := &api{agents: make(map[string]bool)}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Errorf("answering: %v", err)
		}
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.agents[r.UserAgent()] = true
		a.mu.Unlock()
		switch r.URL.Path {
		case "/version":
			if status != http.StatusOK {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
			}
			answer(w, version.Info{GitVersion: "v1.37.2"})
		case "/api":
			answer(w, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
		case "/apis":
			answer(w, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
		case "/api/v1":
			answer(w, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: "v1", APIResources: []metav1.APIResource{
				{Name: "configmaps", SingularName: "configmap", Namespaced: true, Kind: "ConfigMap", Verbs: metav1.Verbs{"get", "list", "watch"}},
			}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) asked(agent string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.agents[agent]
}

// newDaemon makes a daemon that is connected to an API server, and has no
// environment.
func newDaemon(t *testing.T, a *api, args ...string) *daemon.Daemon {
	t.Helper()
	d := daemon.New("test", append([]string{"--metrics-addr=0", "--health-addr=0"}, args...))
	d.Config = &rest.Config{Host: a.URL}
	d.Getenv = func(string) string { return "" }
	d.Log = logr.New(silence{})
	return d
}

// silence is a log that nobody reads.
type silence struct{}

func (silence) Init(logr.RuntimeInfo)            {}
func (silence) Enabled(int) bool                 { return false }
func (silence) Info(int, string, ...any)         {}
func (silence) Error(error, string, ...any)      {}
func (s silence) WithValues(...any) logr.LogSink { return s }
func (s silence) WithName(string) logr.LogSink   { return s }
func configMaps() []client.Object                { return []client.Object{&corev1.ConfigMap{}} }
func environment(m map[string]string) func(string) string {
	return func(k string) string { return m[k] }
}

func TestParseConnects(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	d := newDaemon(t, a)
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	if !a.asked("test") {
		t.Error("the API server was not asked in the name of the controller")
	}
	if d.Client() == nil || d.Live() == nil || d.Manager() == nil {
		t.Error("Parse does not complete the daemon")
	}
}

func TestParseWithoutAPIServer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		status int // 0: nobody listens
		want   func(error) bool
		ok     bool
	}{
		"that listens":       {why: "the address is wrong, or it is down", want: func(err error) bool { var op *net.OpError; return errors.As(err, &op) }},
		"that knows us":      {why: "the credentials are wrong", status: http.StatusUnauthorized, want: apierrors.IsUnauthorized},
		"that works":         {why: "it is starting or broken", status: http.StatusInternalServerError, want: apierrors.IsInternalError},
		"that tells its age": {why: "RBAC may hide the version from one it knows", status: http.StatusForbidden, ok: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPIWith(t, tc.status)
			if tc.status == 0 {
				a.Close()
			}
			err := newDaemon(t, a).Parse()
			if tc.ok {
				if err != nil {
					t.Errorf("Parse: %v (%s)", err, tc.why)
				}
				return
			}
			if err == nil || !tc.want(err) || !strings.HasPrefix(err.Error(), "connecting to the API server: ") {
				t.Errorf("Parse returned %v (%s)", err, tc.why)
			}
		})
	}
}

func TestParseReadsTheEnvironment(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // not in a cluster, whatever runs the test
	a := newAPI(t)
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	content := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: %q}}], contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}", a.URL)
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why, kubeconfig string
		err             string // part of it; empty: success
	}{
		"a kubeconfig":          {why: "outside a cluster", kubeconfig: kubeconfig},
		"none in no cluster":    {why: "the user must learn what to do", err: "KUBECONFIG"},
		"one that is not there": {why: "the user must learn which", kubeconfig: filepath.Join(dir, "none"), err: filepath.Join(dir, "none")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t, a)
			d.Config = nil
			d.Getenv = environment(map[string]string{"KUBECONFIG": tc.kubeconfig, "RUNTIME_NAMESPACE": "flux-system"})
			err := d.Parse()
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("Parse returned %v, want %q (%s)", err, tc.err, tc.why)
			}
			if d.Namespace() != "flux-system" {
				t.Errorf("the own namespace is %q", d.Namespace())
			}
		})
	}
}

func TestParseHelp(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, newAPI(t), "--help")
	d.Flags.SetOutput(io.Discard)
	if err := d.Parse(); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("Parse returned %v", err)
	}
}

func TestParseOfABadScheme(t *testing.T) {
	t.Parallel()
	errScheme := errors.New("two kinds of one name")
	if err := newDaemon(t, newAPI(t)).Parse(func(*runtime.Scheme) error { return errScheme }); !errors.Is(err, errScheme) {
		t.Errorf("Parse returned %v", err)
	}
}

func TestPortThatIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	if err := newDaemon(t, newAPI(t), "--health-addr="+taken).Parse(); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("Parse with a health address that is taken returned %v", err)
	}
	d := newDaemon(t, newAPI(t))
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Serve("artifacts", taken, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "artifacts") || !strings.Contains(err.Error(), taken) {
		t.Errorf("Serve on an address that is taken returned %v", err)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, newAPI(t))
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	addr, err := d.Serve("artifacts", "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.Start(ctx) }()
	// The listener is open: the request waits until the server has started.
	if body, err := get(t, addr); err != nil || body != "here" {
		t.Errorf("asking %s gave %q, %v", addr, body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Start returned %v at the end of its context", err)
	}
	if body, err := get(t, addr); err == nil {
		t.Errorf("asking %s after the end gave %q", addr, body)
	}
}

// get asks an address by a connection of its own.
func get(t *testing.T, addr net.Addr) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return string(body), errors.Join(err, resp.Body.Close())
}

// registration is a Reconciler that fails.
type registration struct{ err error }

func (r registration) Register(*daemon.Daemon) error { return r.err }

func TestStartFails(t *testing.T) {
	t.Parallel()
	errRegister := errors.New("no such kind")
	d := newDaemon(t, newAPI(t))
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	err := d.Start(t.Context(), registration{}, registration{err: errRegister})
	if !errors.Is(err, errRegister) || !strings.Contains(err.Error(), "daemon_test.registration") {
		t.Errorf("Start returned %v, want one that says who failed", err)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, addr string
		ok        bool
	}{
		"no address": {why: "Kubernetes events only", ok: true},
		"an address": {why: "the notification controller", addr: "http://notification.example.com./", ok: true},
		"none":       {why: "a typing error must not pass", addr: "http://[::1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, newAPI(t), "--events-addr="+tc.addr)
			if err := d.Parse(); err != nil {
				t.Fatal(err)
			}
			r, err := d.Recorder("example.com")
			if tc.ok && (err != nil || r == nil) || !tc.ok && (err == nil || !strings.Contains(err.Error(), "--events-addr")) {
				t.Errorf("Recorder returned %v, %v (%s)", r, err, tc.why)
			}
		})
	}
}

func TestDurationsAreSharedByDaemons(t *testing.T) {
	t.Parallel()
	if a, b := daemon.New("a", nil).Durations(), daemon.New("b", nil).Durations(); a == nil || a != b {
		t.Error("two daemons of a process register the metric twice")
	}
}
