package verb_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines ends a call once so many of them were printed.
type lines struct {
	mu     sync.Mutex
	text   strings.Builder
	enough int
	end    func()
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(p)
	if strings.Count(l.text.String(), "\n") >= l.enough {
		l.end()
	}
	return n, err
}

// stays is an answer that has no more in it, and no end until somebody ends it: the log of a
// container that runs, or a watch.
type stays <-chan struct{}

// Read implements io.Reader.
func (s stays) Read([]byte) (int, error) {
	<-s
	return 0, context.Canceled
}

// logged are lines that were logged in seconds of a minute, as the kubelet gives them.
func logged(seconds ...int) string {
	var out strings.Builder
	for _, s := range seconds {
		fmt.Fprintf(&out, "2024-01-01T00:00:%02d.5Z {\"level\":\"info\",\"ts\":\"t\",\"msg\":\"line %d\"}\n", s, s)
	}
	return out.String()
}

// rollout is a controller whose pods come and go.
type rollout struct {
	mu    sync.Mutex
	lists int
	reads map[string][]url.Values // by pod
}

// pod is one in a phase.
func pod(name, phase string) any {
	return map[string]any{"metadata": map[string]any{"name": name, "namespace": "flux-system"}, "status": map[string]any{"phase": phase}}
}

// list answers which pods there are: one more, the second time.
func (r *rollout) list(*http.Request) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists++
	pods := []any{pod("evicted", "Failed"), pod("running", "Running"), pod("starting", "Pending")}
	if r.lists > 2 { // each time, both controllers ask
		pods = append(pods, pod("new", "Running"))
	}
	return map[string]any{"apiVersion": "v1", "kind": "PodList", "metadata": map[string]any{}, "items": pods}
}

// log answers what a pod has logged so far.
func (r *rollout) log(req *http.Request) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.Split(req.URL.Path, "/")[6]
	r.reads[name] = append(r.reads[name], req.URL.Query())
	first := len(r.reads[name]) == 1
	switch {
	case name == "evicted":
		return premature("evicted has no container")
	case name == "starting" && first:
		return premature("starting waits to start")
	case name == "running" && first:
		return logged(1, 2)
	}
	seconds := map[string][]int{"running": {2, 3}, "starting": {4}, "new": {5, 6}}[name]
	return io.MultiReader(strings.NewReader(logged(seconds...)), stays(req.Context().Done()))
}

// TestLogsFollowRollouts: a pod that has no log keeps back no other, a container that is
// started anew goes on where it was, and pods that come later are shown from their beginning.
func TestLogsFollowRollouts(t *testing.T) {
	t.Parallel()
	r := &rollout{reads: make(map[string][]url.Values)}
	a := controllers()
	a.by["/api/v1/namespaces/flux-system/pods"] = r.list
	for _, name := range []string{"evicted", "running", "starting", "new"} {
		a.by["/api/v1/namespaces/flux-system/pods/"+name+"/log"] = r.log
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, said := &lines{enough: 6, end: cancel}, &bytes.Buffer{}
	code := weirTo(ctx, t, a, out, said, "logs", "-f", "-A", "--tail", "7")
	got := slices.Sorted(strings.Lines(out.text.String()))
	var want []string
	for n := range 6 {
		want = append(want, fmt.Sprintf("t info - line %d\n", n+1))
	}
	if diff := cmp.Diff(want, got); code != 0 || diff != "" {
		t.Errorf("ended with %d: %s\n%s", code, said, diff)
	}
	if text := said.String(); strings.Count(text, "evicted has no container") != 1 || strings.Count(text, "⚠") != 2 {
		t.Errorf("said %q; want what cannot be read, once each", text)
	}
	if n := len(r.reads["evicted"]); n != 1 {
		t.Errorf("the log of a pod that is over was asked for %d times", n)
	}
	query := func(name string, n int) string { return r.reads[name][n].Encode() }
	const begin = "container=manager&follow=true"
	if got, want := query("running", 0), begin+"&tailLines=7&timestamps=true"; got != want {
		t.Errorf("at first, asked %s, want %s", got, want)
	}
	if got, want := query("running", 1), begin+"&sinceTime=2024-01-01T00%3A00%3A02Z&timestamps=true"; got != want {
		t.Errorf("after its end, asked %s, want %s", got, want)
	}
	if got, want := query("new", 0), begin+"&timestamps=true"; got != want {
		t.Errorf("of what is new, asked %s, want %s", got, want)
	}
	if again := r.reads["starting"][1]; again.Has("tailLines") || !again.Has("sinceSeconds") {
		t.Errorf("of what has started, asked %s; want all since it was not", again.Encode())
	}
}

// TestLogsFollowNothing: where no log can be read, there is nothing to wait for.
func TestLogsFollowNothing(t *testing.T) {
	t.Parallel()
	a := controllers()
	for _, name := range []string{"pod-1", "pod-2"} {
		a.by["/api/v1/namespaces/flux-system/pods/"+name+"/log"] = refused("you may not read " + name)
	}
	code, out, said := weir(t, a, "logs", "-f")
	if code != 1 || out != "" || strings.Count(said, "you may not read pod-1") != 1 || strings.Count(said, "you may not read pod-2") != 1 {
		t.Errorf("ended with %d, printed %q and said %q; want 1, and the reasons once", code, out, said)
	}
}
