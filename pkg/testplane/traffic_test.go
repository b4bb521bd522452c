package testplane

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		method string
		url    string
		want   Request // but for Method and Path
		writes bool
	}{
		"a core object":           {why: "no group", url: "/api/v1/namespaces/a/configmaps/b", want: Request{Resource: "configmaps"}},
		"core objects":            {why: "a list", url: "/api/v1/namespaces/a/configmaps", want: Request{Resource: "configmaps"}},
		"status of a namespace":   {why: "the namespace itself", method: http.MethodPatch, url: "/api/v1/namespaces/a/status", want: Request{Resource: "namespaces", Sub: "status"}, writes: true},
		"core objects everywhere": {why: "no namespace", url: "/api/v1/configmaps?limit=500", want: Request{Resource: "configmaps"}},
		"an object of a group":    {why: "one more part", url: "/apis/apps/v1/namespaces/a/deployments/b", want: Request{Resource: "deployments"}},
		"a cluster-scoped object": {why: "no namespace", url: "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node", want: Request{Resource: "clusterroles"}},
		"a namespace":             {why: "it is an object itself", url: "/api/v1/namespaces/a", want: Request{Resource: "namespaces"}},
		"namespaces":              {why: "they are objects themselves", url: "/api/v1/namespaces", want: Request{Resource: "namespaces"}},
		"a status":                {why: "tests tell it from its object", method: http.MethodPatch, url: "/apis/apps/v1/namespaces/a/deployments/b/status", want: Request{Resource: "deployments", Sub: "status"}, writes: true},
		"a cluster-scoped status": {why: "one part less", method: http.MethodPut, url: "/api/v1/nodes/b/status", want: Request{Resource: "nodes", Sub: "status"}, writes: true},
		"a watch":                 {why: "watches are not requests that cost", url: "/api/v1/configmaps?watch=true", want: Request{Resource: "configmaps", Watch: true}},
		"a watch by number":       {why: "both spellings are in use", url: "/api/v1/configmaps?watch=1", want: Request{Resource: "configmaps", Watch: true}},
		"no watch":                {why: "the parameter has a value", url: "/api/v1/configmaps?watch=false", want: Request{Resource: "configmaps"}},
		"a dry run":               {why: "it changes nothing", method: http.MethodPatch, url: "/api/v1/namespaces/a/configmaps/b?dryRun=All&fieldManager=x", want: Request{Resource: "configmaps", DryRun: true}},
		"an apply":                {why: "it changes something", method: http.MethodPatch, url: "/api/v1/namespaces/a/configmaps/b?fieldManager=x", want: Request{Resource: "configmaps"}, writes: true},
		"a creation":              {why: "it changes something", method: http.MethodPost, url: "/api/v1/namespaces/a/configmaps", want: Request{Resource: "configmaps"}, writes: true},
		"a deletion":              {why: "it changes something", method: http.MethodDelete, url: "/api/v1/namespaces/a/configmaps/b", want: Request{Resource: "configmaps"}, writes: true},
		"a look":                  {why: "it changes nothing", method: http.MethodHead, url: "/api/v1/namespaces/a/configmaps/b", want: Request{Resource: "configmaps"}},
		"discovery":               {why: "outside the resource API", url: "/api/v1"},
		"discovery of a group":    {why: "outside the resource API", url: "/apis/apps/v1"},
		"discovery of groups":     {why: "outside the resource API", url: "/apis"},
		"the version":             {why: "outside the resource API", url: "/version"},
		"the root":                {why: "outside the resource API", url: "/"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			got := parse(httptest.NewRequest(tc.method, tc.url, nil))
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(Request{}, "Method", "Path")); diff != "" {
				t.Errorf("parsed (-want +got):\n%s(%s)", diff, tc.why)
			}
			if got.Write() != tc.writes {
				t.Errorf("%s writes: %v, want %v (%s)", got, got.Write(), tc.writes, tc.why)
			}
			if !strings.HasPrefix(got.String(), tc.method+" /") || strings.Contains(got.String(), "?") {
				t.Errorf("shown as %q", got.String())
			}
		})
	}
}

// patient is a test that notes its errors instead of failing.
type patient struct {
	testing.TB

	mu     sync.Mutex
	errors []string
}

func (p *patient) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, fmt.Sprintf(format, args...))
}

// wire is a connection through Traffic that notes what reaches the other end.
type wire struct {
	t       *testing.T
	patient *patient
	traffic *Traffic
	reached []string
	send    http.RoundTripper
}

func newWire(t *testing.T) *wire {
	w := &wire{t: t, patient: &patient{TB: t}}
	w.traffic = newTraffic(w.patient)
	w.send = w.traffic.wrap(roundTripper(func(r *http.Request) (*http.Response, error) {
		w.reached = append(w.reached, r.Method+" "+r.URL.Path)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	return w
}

// ask makes a request.
func (w *wire) ask(method, url string) error {
	w.t.Helper()
	resp, err := w.send.RoundTrip(httptest.NewRequest(method, url, nil))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// must makes requests that succeed.
func (w *wire) must(requests ...string) {
	w.t.Helper()
	for _, r := range requests {
		method, url, _ := strings.Cut(r, " ")
		if err := w.ask(method, url); err != nil {
			w.t.Errorf("%s: %v", r, err)
		}
	}
}

func TestTrafficCounts(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.must("GET /api/v1/configmaps?watch=1", "POST /api/v1/namespaces/a/configmaps", "PATCH /apis/apps/v1/namespaces/a/deployments/b?dryRun=All",
		"PATCH /apis/apps/v1/namespaces/a/deployments/b", "GET /version", "PUT /apis/coordination.k8s.io/v1/namespaces/a/leases/b")
	for name, tc := range map[string]struct {
		why   string
		match func(Request) bool
		want  int
	}{
		"any":                {why: "but for the version and the lease", match: Any, want: 4},
		"writes":             {why: "but for the dry run", match: Writes(), want: 2},
		"writes to one":      {why: "one of the two", match: Writes("deployments"), want: 1},
		"writes to several":  {why: "both", match: Writes("deployments", "configmaps"), want: 2},
		"writes to no other": {why: "nobody asked", match: Writes("secrets"), want: 0},
	} {
		if got := w.traffic.Count(tc.match); got != tc.want {
			t.Errorf("%s: %d, want %d (%s)", name, got, tc.want, tc.why)
		}
	}
	kept := w.traffic.Requests()
	w.traffic.Reset()
	w.must("GET /api/v1/secrets")
	if n := w.traffic.Count(Any); n != 1 || len(kept) != 4 || slices.Contains(w.traffic.Requests(), kept[0]) {
		t.Errorf("%d requests after the reset, want 1; what was handed out before has %d, want 4", n, len(kept))
	}
	if len(w.reached) != 7 {
		t.Errorf("reached the server: %q", w.reached)
	}
}

func TestTrafficForbids(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	allow := w.traffic.Forbid(Writes("configmaps"))
	w.must("GET /api/v1/configmaps", "POST /api/v1/namespaces/a/secrets", "GET /version")
	if len(w.patient.errors) > 0 {
		t.Errorf("requests that are allowed failed the test: %q", w.patient.errors)
	}
	w.must("POST /api/v1/namespaces/a/configmaps") // it is told, not kept from the server
	if diff := cmp.Diff([]string{"forbidden request: POST /api/v1/namespaces/a/configmaps"}, w.patient.errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	allow()
	w.must("POST /api/v1/namespaces/a/configmaps")
	if n := len(w.patient.errors); n != 1 {
		t.Errorf("%d errors after requests were allowed again, want 1", n)
	}
}

func TestTrafficBreaks(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	errBroken := errors.New("cut")
	w.traffic.Break(func(r Request) error {
		if r.Resource == "configmaps" {
			return errBroken
		}
		return nil
	})
	w.must("GET /api/v1/secrets", "GET /version")
	if err := w.ask(http.MethodGet, "/api/v1/configmaps"); !errors.Is(err, errBroken) {
		t.Errorf("a broken request gave %v", err)
	}
	if n := w.traffic.Open(); n != 0 {
		t.Errorf("%d requests are open, want none: the broken one is over", n)
	}
	if n := w.traffic.Count(Any); n != 2 {
		t.Errorf("%d requests are counted, want 2: the broken one was asked, too", n)
	}
	w.traffic.Break(nil)
	w.must("GET /api/v1/configmaps")
	if diff := cmp.Diff([]string{"GET /api/v1/secrets", "GET /version", "GET /api/v1/configmaps"}, w.reached); diff != "" {
		t.Errorf("reached the server (-want +got):\n%s", diff)
	}
}

func TestTrafficKnowsWhatIsOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, request string
		want         int
	}{
		"a read":        {why: "what it answers may be acted upon", request: "GET /api/v1/configmaps", want: 1},
		"a write":       {why: "its answer may be acted upon", request: "POST /api/v1/namespaces/a/configmaps", want: 1},
		"the discovery": {why: "a controller waits for it", request: "GET /apis/apps/v1", want: 1},
		"a watch":       {why: "it may get no answer before something changes", request: "GET /api/v1/configmaps?watch=1"},
		"a lease":       {why: "who is idle renews it", request: "PUT /apis/coordination.k8s.io/v1/namespaces/a/leases/b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraffic(t)
			open := -1
			send := tr.wrap(roundTripper(func(*http.Request) (*http.Response, error) {
				open = tr.Open()
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}))
			method, url, _ := strings.Cut(tc.request, " ")
			resp, err := send.RoundTrip(httptest.NewRequest(method, url, nil))
			if err != nil {
				t.Fatal(err)
			}
			if open != tc.want || tr.Open() != 0 {
				t.Errorf("%d requests are open before the answer, want %d (%s); %d after it", open, tc.want, tc.why, tr.Open())
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNamespaceName(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, test, want string // want is the name but for its random end
	}{
		"a plain test":      {why: "a reader finds the test", test: "TestDrift", want: "testdrift-"},
		"a subtest":         {why: "slashes and blanks are no letters of a name", test: "TestDrift/puts_back replicas", want: "testdrift-puts-back-replicas-"},
		"other letters":     {why: "only ASCII may be used", test: "TestÜber/größe", want: "test-ber-gr-e-"},
		"dashes at the end": {why: "the random end follows", test: "TestDrift/##", want: "testdrift-"},
		"a long name":       {why: "a label has 63 letters", test: "Test" + strings.Repeat("x", 100), want: "test" + strings.Repeat("x", 41) + "-"},
		"a cut at a dash":   {why: "no two dashes", test: "Test" + strings.Repeat("x", 40) + "/y", want: "test" + strings.Repeat("x", 40) + "-"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := namespaceName(tc.test), namespaceName(tc.test)
			if first == second {
				t.Errorf("two tests get the namespace %q", first)
			}
			if len(first) < 6 || first[:len(first)-6] != tc.want {
				t.Errorf("namespace of %q is %q, want %q and six letters (%s)", tc.test, first, tc.want, tc.why)
			}
			if problems := validation.IsDNS1123Label(first); len(problems) > 0 {
				t.Errorf("%q is no name of a namespace: %v", first, problems)
			}
		})
	}
}

// TestWatchesEnd: who reads one sees an end, as of an API server that has had enough.
func TestWatchesEnd(t *testing.T) {
	t.Parallel()
	tr := newTraffic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "event")
		if r.URL.Query().Get("watch") == "" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: tr.wrap(http.DefaultTransport)}
	get := func(path string) *http.Response {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	get("/api/v1/configmaps")
	closed := get("/api/v1/secrets?watch=true")
	if err := closed.Body.Close(); err != nil {
		t.Fatal(err)
	}
	open := get("/api/v1/configmaps?watch=true")
	read := make(chan error, 1)
	text := make(chan string, 1)
	go func() {
		data, err := io.ReadAll(open.Body)
		text <- string(data)
		read <- err
	}()
	if n := tr.EndWatches(); n != 1 {
		t.Errorf("%d watches ended; want the one that is open", n)
	}
	if data, err := <-text, <-read; err != nil || data != "event\n" && data != "" {
		t.Errorf("the reader saw %q, %v; want a clean end", data, err)
	}
	if n := tr.EndWatches(); n != 0 {
		t.Errorf("%d watches ended again", n)
	}
}

func TestLogKeepsLines(t *testing.T) {
	t.Parallel()
	var log Log
	log.Logger().Error(errors.New("bad"), "trouble", "resource", "things")
	log.Logger().Info("all is well", "resource", "things")
	if got := log.With("trouble", "bad", "things"); len(got) != 1 {
		t.Errorf("lines are %q; want the one of trouble", got)
	}
	if got := log.With("things"); len(got) != 2 {
		t.Errorf("lines are %q; want both", got)
	}
}
