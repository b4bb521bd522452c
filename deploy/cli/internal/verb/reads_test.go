package verb_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
)

// everyKind has one object of each kind, but for those of which nobody may see any.
func everyKind(hidden ...string) *answers {
	a := &answers{by: map[string]any{
		"/api":    map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/api/v1": map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{}},
	}}
	var groups []any
	resources := make(map[string][]any)
	for _, k := range kinds.All() {
		version := k.GVK.GroupVersion().String()
		if resources[version] == nil {
			served := map[string]any{"groupVersion": version, "version": k.GVK.Version}
			groups = append(groups, map[string]any{"name": k.GVK.Group, "versions": []any{served}, "preferredVersion": served})
		}
		resources[version] = append(resources[version], map[string]any{"name": k.Plural, "kind": k.GVK.Kind, "namespaced": true, "verbs": []string{"list", "watch"}})
		list := "/apis/" + version + "/namespaces/flux-system/" + k.Plural
		if slices.Contains(hidden, k.GVK.Kind) {
			a.by[list] = refused("you may not list " + k.Plural)
			continue
		}
		a.by[list] = map[string]any{
			"apiVersion": version, "kind": k.GVK.Kind + "List", "metadata": map[string]any{"resourceVersion": "1"},
			"items": []any{map[string]any{"apiVersion": version, "kind": k.GVK.Kind, "metadata": map[string]any{"name": "one", "namespace": "flux-system", "resourceVersion": "1"}}},
		}
	}
	a.by["/apis"] = map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
	for version, all := range resources {
		a.by["/apis/"+version] = map[string]any{"kind": "APIResourceList", "groupVersion": version, "resources": all}
	}
	return a
}

func kindNames() []string {
	var out []string
	for _, k := range kinds.All() {
		out = append(out, k.GVK.Kind)
	}
	return out
}

// TestSomeKindsAreHidden: who may see some kinds sees them.
func TestSomeKindsAreHidden(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"get all":         "kustomization/one ",
		"get sources all": "gitrepository/one ",
		"get all -o name": "kustomization.kustomize.toolkit.fluxcd.io/one",
		"stats":           "Kustomization ",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, out, said := weir(t, everyKind("Bucket", "Alert"), strings.Fields(args)...)
			if code != 0 || !strings.Contains(out, want) || strings.Contains(strings.ToLower(out), "bucket") {
				t.Errorf("ended with %d and printed %q; want 0 and %q", code, out, want)
			}
			if !strings.Contains(said, "⚠ listing buckets: you may not list buckets\n") {
				t.Errorf("said %q; want it to say what is missing", said)
			}
			code, out, said = weir(t, everyKind(kindNames()...), strings.Fields(args)...)
			if code != 1 || out != "" || strings.Count(said, "you may not list") != 1 || strings.Contains(said, "found") {
				t.Errorf("where nothing can be seen, it ended with %d, printed %q and said %q; want 1, and the reason once", code, out, said)
			}
		})
	}
}

// TestBrokenKinds: what is not shown for another reason than that nobody may see it, is an
// error, beside what is shown.
func TestBrokenKinds(t *testing.T) {
	t.Parallel()
	a := everyKind()
	for _, k := range kinds.All() {
		if k.GVK.Kind == "Bucket" {
			a.by["/apis/"+k.GVK.GroupVersion().String()+"/namespaces/flux-system/"+k.Plural] = "no JSON"
		}
	}
	for _, args := range []string{"get all", "get all -o json", "stats"} {
		code, out, said := weir(t, a, strings.Fields(args)...)
		if code != 1 || !strings.Contains(out, "Kustomization") && !strings.Contains(out, "kustomization/one") || !strings.Contains(said, "reading buckets") {
			t.Errorf("%s ended with %d, printed %q and said %q; want 1, the others and the reason", args, code, out, said)
		}
	}
}

func TestWatchShowsTables(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "yaml", "name"} {
		code, out, said := weir(t, everyKind(), "get", "ks", "-w", "-o", format)
		if code != 1 || out != "" || !strings.Contains(said, "--watch shows tables, and not "+format) {
			t.Errorf("-o %s ended with %d, printed %q and said %q", format, code, out, said)
		}
	}
}

// ending ends a call once enough was printed.
type ending struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	end  func()
}

// Write implements io.Writer.
func (e *ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.text.Write(p)
	if strings.Contains(e.text.String(), e.want) {
		e.end()
	}
	return n, err
}

// TestFollowLeavesOutWhatIsHidden: who may see some kinds follows them.
func TestFollowLeavesOutWhatIsHidden(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	out := &ending{want: "kustomization/one ", end: cancel}
	if code := weirTo(ctx, t, everyKind("Bucket"), out, &said, "get", "all", "-w"); code != 0 || ctx.Err() == nil {
		t.Errorf("ended with %d, printed %q and said %q", code, out.text.String(), said.String())
	}
	code, _, words := weir(t, everyKind(kindNames()...), "get", "all", "-w")
	if code != 1 || !strings.Contains(words, "you may not list") {
		t.Errorf("where nothing can be seen, it ended with %d and said %q", code, words)
	}
}

// event is one of a Kustomization.
func event(uid, version, message string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Told", "message": message, "lastTimestamp": "2024-01-01T00:00:0" + version + "Z",
		"metadata":       map[string]any{"name": "apps." + uid, "namespace": "flux-system", "uid": uid, "resourceVersion": version},
		"involvedObject": map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "namespace": "flux-system", "name": "apps"},
	}
}

// TestEventsGoOn: where the API server does not know any more what a watch has missed, it is
// what has not been printed; and one that fails is asked again.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	lists, watches := 0, 0
	a := everyKind()
	a.by["/api/v1"] = map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
		map[string]any{"name": "events", "kind": "Event", "namespaced": true, "verbs": []string{"list", "watch"}},
	}}
	a.by["/api/v1/namespaces/flux-system/events"] = func(req *http.Request) any {
		mu.Lock()
		defer mu.Unlock()
		if req.URL.Query().Get("watch") == "" {
			lists++
			items := []any{event("a", "1", "first")}
			switch lists {
			case 2:
				return "not JSON" // as a proxy says that nobody is there
			case 3:
				items = append(items, event("b", "2", "missed"))
			}
			return map[string]any{"apiVersion": "v1", "kind": "EventList", "metadata": map[string]any{"resourceVersion": fmt.Sprint(lists)}, "items": items}
		}
		watches++
		if watches == 1 {
			return map[string]any{"type": "ERROR", "object": map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}}
		}
		return map[string]any{"type": "ADDED", "object": event("c", "3", "last")}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	out := &ending{want: "last", end: cancel}
	code := weirTo(ctx, t, a, out, &said, "events", "-w", "--no-header")
	var messages []string
	for line := range strings.Lines(out.text.String()) {
		messages = append(messages, strings.Fields(line)[4])
	}
	if want := []string{"first", "missed", "last"}; code != 0 || !slices.Equal(messages, want) {
		t.Errorf("ended with %d, printed %q and said %q; want %q", code, messages, said.String(), want)
	}
	if watches > 2 {
		t.Errorf("watched %d times, without a pause", watches)
	}
}

// TestEventsOfSourcesEverywhere: what an object reads from has to do with it in any namespace.
func TestEventsOfSourcesEverywhere(t *testing.T) {
	t.Parallel()
	a := everyKind()
	a.by["/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"] = map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "KustomizationList", "metadata": map[string]any{}, "items": []any{
			map[string]any{"metadata": map[string]any{"name": "apps", "namespace": "one"}, "spec": map[string]any{"sourceRef": map[string]any{"kind": "GitRepository", "name": "fleet"}}},
			map[string]any{"metadata": map[string]any{"name": "apps", "namespace": "two"}, "spec": map[string]any{"sourceRef": map[string]any{"kind": "GitRepository", "name": "fleet", "namespace": "one"}}},
		},
	}
	a.by["/api/v1"] = map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
		map[string]any{"name": "events", "kind": "Event", "namespaced": true, "verbs": []string{"list", "watch"}},
	}}
	empty := map[string]any{"apiVersion": "v1", "kind": "EventList", "metadata": map[string]any{}, "items": []any{}}
	a.by["/api/v1/events"], a.by["/api/v1/namespaces/one/events"] = empty, empty
	if code, _, said := weir(t, a, "events", "--for", "ks/apps", "-A"); code != 0 {
		t.Fatal(said)
	}
	var asked []string
	for _, uri := range a.asked {
		if path, query, events := strings.Cut(uri, "/events?"); events {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			fields := strings.Split(values.Get("fieldSelector"), ",")
			slices.Sort(fields)
			asked = append(asked, path+" "+strings.Join(fields, " "))
		}
	}
	want := []string{
		"/api/v1 involvedObject.kind=Kustomization involvedObject.name=apps",
		"/api/v1/namespaces/one involvedObject.kind=GitRepository involvedObject.name=fleet",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestEnvsubstStrict: a variable that is set to nothing is set.
func TestEnvsubstStrict(t *testing.T) {
	t.Parallel()
	set := map[string]string{"empty": ""}
	call := func(template string) (int, string) {
		var out, said bytes.Buffer
		s := session.New(session.Streams{In: strings.NewReader(template), Out: &out, Err: &said, LookupEnv: func(name string) (string, bool) {
			value, ok := set[name]
			return value, ok
		}}, func(name string) string { return set[name] })
		return verb.Run(t.Context(), s, []string{"envsubst", "--strict"}), out.String()
	}
	if code, out := call("a: ${empty}\n"); code != 0 || out != "a: \n" {
		t.Errorf("a variable that is empty: ended with %d and printed %q", code, out)
	}
	if code, _ := call("a: ${missing}\n"); code != 1 {
		t.Errorf("a variable that is not set: ended with %d", code)
	}
}
