package verb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/deploy/install"
)

// answers are what an API server says, by the path of the request.
type answers struct {
	by map[string]any // a string or reader as it is, a function by what it returns, refused and premature as that, all else as JSON

	mu    sync.Mutex
	asked []string
}

// refused is the answer to who may not ask, with what is said to him.
type refused string

// premature is the answer to who asks for what is not there yet, with what is said to him.
type premature string

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.asked = append(a.asked, req.URL.RequestURI())
	a.mu.Unlock()
	answer, ok := a.by[req.URL.Path]
	code := http.StatusOK
	if answers, is := answer.(func(*http.Request) any); is {
		answer = answers(req)
	}
	if !ok {
		code, answer = http.StatusNotFound, "404 page not found"
	}
	no := func(as int, reason, message string) {
		code = as
		answer = map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
	}
	switch a := answer.(type) {
	case refused:
		no(http.StatusForbidden, "Forbidden", string(a))
	case premature:
		no(http.StatusBadRequest, "BadRequest", string(a))
	case io.Reader:
		return &http.Response{StatusCode: code, Request: req, Header: http.Header{}, Body: io.NopCloser(a)}, nil
	}
	body, text := answer.(string)
	if !text {
		data, err := json.Marshal(answer)
		if err != nil {
			return nil, err
		}
		body = string(data)
	}
	return &http.Response{StatusCode: code, Request: req, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// weir runs the command against answers, and returns what it prints and says.
func weir(t *testing.T, a *answers, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = weirTo(t.Context(), t, a, &stdout, &stderr, args...)
	return code, stdout.String(), stderr.String()
}

// weirTo is weir, for who wants to see what is printed while it is.
func weirTo(ctx context.Context, t *testing.T, a *answers, stdout, stderr io.Writer, args ...string) int {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s := session.New(session.Streams{In: strings.NewReader(""), Out: stdout, Err: stderr}, func(string) string { return "" })
	s.Wrap = func(http.RoundTripper) http.RoundTripper { return a }
	return verb.Run(ctx, s, append([]string{"--kubeconfig", kubeconfig, "--cache-dir", t.TempDir()}, args...))
}

// controllers are two that run, with logs.
func controllers() *answers {
	deployment := func(name string) any {
		return map[string]any{
			"metadata": map[string]any{"name": name, "namespace": "flux-system", "labels": map[string]any{"app.kubernetes.io/version": "v1.2.0"}},
			"spec": map[string]any{
				"selector": map[string]any{"matchLabels": map[string]any{"app": name}},
				"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "manager", "image": "registry.example.com:5000/weir/" + name + ":v1.2.3@sha256:0"}}}},
			},
		}
	}
	list := func(version, kind string, items ...any) any {
		return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"resourceVersion": "1"}, "items": items}
	}
	resource := func(name, kind string) any {
		return map[string]any{"name": name, "kind": kind, "namespaced": true, "verbs": []string{"list"}}
	}
	return &answers{by: map[string]any{
		"/api":          map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis":         map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{map[string]any{"name": "apps", "versions": []any{map[string]any{"groupVersion": "apps/v1", "version": "v1"}}, "preferredVersion": map[string]any{"groupVersion": "apps/v1", "version": "v1"}}}},
		"/api/v1":       map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{resource("pods", "Pod")}},
		"/apis/apps/v1": map[string]any{"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []any{resource("deployments", "Deployment")}},
		"/apis/apps/v1/namespaces/flux-system/deployments": list("apps/v1", "DeploymentList", deployment("source-controller"), deployment("helm-controller")),
		"/api/v1/namespaces/flux-system/pods": func(req *http.Request) any {
			name := map[string]string{"app=source-controller": "pod-1", "app=helm-controller": "pod-2"}[req.URL.Query().Get("labelSelector")]
			return list("v1", "PodList", map[string]any{"metadata": map[string]any{"name": name, "namespace": "flux-system"}})
		},
		"/api/v1/namespaces/flux-system/pods/pod-1/log": strings.Join([]string{
			`{"level":"info","ts":"2024-01-01T00:00:00Z","msg":"starting"}`,
			`{"level":"info","ts":"2024-01-01T00:00:00Z","msg":"` + strings.Repeat("too long", 1<<18) + `"}`,
			`panic: not JSON`,
			``,
			`{"key": "JSON of somebody else"}`,
			`{"level":"info","ts":"2024-01-01T00:00:02Z","msg":"fetched","controllerKind":"GitRepository","name":"fleet","namespace":"flux-system"}`,
		}, "\n"),
		"/api/v1/namespaces/flux-system/pods/pod-2/log": strings.Join([]string{
			`{"level":"error","ts":"2024-01-01T00:00:01Z","msg":"failed","error":"no such branch","reconciler kind":"GitRepository","name":"old","namespace":"flux-system"}`,
			`{"level":"info","ts":"2024-01-01T00:00:03Z","msg":"fetched","controllerKind":"Bucket","name":"b","namespace":"prod"}`,
		}, "\n"),
	}}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	const (
		fleet  = "2024-01-01T00:00:02Z info GitRepository/fleet.flux-system - fetched"
		old    = "2024-01-01T00:00:01Z error GitRepository/old.flux-system - failed no such branch"
		bucket = "2024-01-01T00:00:03Z info Bucket/b.prod - fetched"
		start  = "2024-01-01T00:00:00Z info - starting"
		panics = "panic: not JSON"
		other  = `{"key": "JSON of somebody else"}`
	)
	tests := map[string]struct {
		why  string
		args []string
		want []string
	}{
		"namespace":  {why: "who works in a namespace sees its objects, in the order of time", want: []string{old, fleet}},
		"other":      {args: []string{"-n", "prod"}, want: []string{bucket}},
		"everywhere": {why: "what is about nothing is there, too, next to the line that it followed", args: []string{"-A"}, want: []string{start, panics, other, old, fleet, bucket}},
		"level":      {args: []string{"-A", "--level", "error"}, want: []string{old}},
		"kind":       {why: "a kind may be called by any name", args: []string{"-A", "--kind", "source/bucket"}, want: []string{bucket}},
		"name":       {args: []string{"--name", "fleet"}, want: []string{fleet}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := controllers()
			code, out, said := weir(t, a, append([]string{"logs"}, tc.args...)...)
			if code != 0 {
				t.Fatalf("ended with %d: %s", code, said)
			}
			got := strings.Split(strings.TrimSpace(out), "\n")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (%s)", diff, tc.why)
			}
		})
	}
}

func TestLogsAskForWhatIsNeeded(t *testing.T) {
	t.Parallel()
	a := controllers()
	if code, _, said := weir(t, a, "logs", "--since", "90s", "--tail", "7"); code != 0 {
		t.Fatal(said)
	}
	const want = "/api/v1/namespaces/flux-system/pods/pod-1/log?container=manager&sinceSeconds=90&tailLines=7"
	if !slices.Contains(a.asked, want) {
		t.Errorf("asked %q, not %s", a.asked, want)
	}
}

func TestLogsRefuse(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--level loud":                 "take debug, info or error",
		"--kind thing":                 `there is no kind "thing"`,
		"--since 1s --since-time 2024": "exclude each other",
		"--since -1s":                  "cannot be negative",
		"--since-time yesterday":       "no time of the form",
		"--flux-namespace other":       "listing the controllers",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, _, said := weir(t, controllers(), append([]string{"logs"}, strings.Fields(args)...)...)
			if code != 1 || !strings.Contains(said, want) {
				t.Errorf("ended with %d and %q; want %q", code, said, want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--client": "weir: " + install.Version + "\n",
		"":         "weir: " + install.Version + "\ndistribution: flux-v1.2.0\nhelm-controller: v1.2.3\nsource-controller: v1.2.3\n",
		"-o yaml":  "distribution: flux-v1.2.0\nflux: " + install.Version + "\nhelm-controller: v1.2.3\nsource-controller: v1.2.3\nweir: " + install.Version + "\n",
		"-o json":  "{\n  \"distribution\": \"flux-v1.2.0\",\n  \"flux\": \"" + install.Version + "\",\n  \"helm-controller\": \"v1.2.3\",\n  \"source-controller\": \"v1.2.3\",\n  \"weir\": \"" + install.Version + "\"\n}\n",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, out, said := weir(t, controllers(), append([]string{"version"}, strings.Fields(args)...)...)
			if code != 0 || out != want {
				t.Errorf("ended with %d, printed %q, said %q; want %q", code, out, said, want)
			}
		})
	}
}

// TestVersionOfTheCommand: scripts that set things up look at the last word.
func TestVersionOfTheCommand(t *testing.T) {
	t.Parallel()
	want := "weir version " + strings.TrimPrefix(install.Version, "v") + "\n"
	for _, flag := range []string{"--version", "-v"} {
		if code, out, said := weir(t, &answers{}, flag); code != 0 || out != want {
			t.Errorf("%s ended with %d, printed %q, said %q; want %q", flag, code, out, said, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, said := weir(t, &answers{}, "completion", shell); code != 0 || !strings.Contains(out, "weir") {
			t.Errorf("completion %s ended with %d: %s", shell, code, said)
		}
	}
	if code, _, said := weir(t, &answers{}, "completion", "tcsh"); code != 1 || !strings.Contains(said, "bash, fish, powershell, zsh") {
		t.Errorf("an unknown shell ended with %d: %s", code, said)
	}
}
