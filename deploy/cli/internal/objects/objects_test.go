package objects_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
)

// server answers from memory, and counts.
type server struct {
	answer func(*http.Request) (int, []byte)

	mu    sync.Mutex
	asked []string
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, req.URL.RequestURI())
	s.mu.Unlock()
	code, body := s.answer(req)
	return &http.Response{
		StatusCode: code, Request: req, Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

// reader reads from a server that has all kinds.
func reader(t testing.TB, s *server) objects.Reader {
	t.Helper()
	c, err := rest.UnversionedRESTClientFor(&rest.Config{
		Host: "http://example.com", QPS: -1, Transport: s,
		ContentConfig: rest.ContentConfig{NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()},
	})
	if err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, k := range kinds.All() {
		mapper.AddSpecific(k.GVK, k.GVR(), k.GVR(), meta.RESTScopeNamespace)
	}
	return objects.Reader{REST: c, Mapper: mapper}
}

// list is the answer to a list of so many objects, the first being number from.
func list(k kinds.Kind, from, n int, next string) []byte {
	var items []any
	for i := from; i < from+n; i++ {
		items = append(items, item(k, i))
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": k.GVK.GroupVersion().String(), "kind": k.GVK.Kind + "List",
		"metadata": map[string]any{"resourceVersion": "9", "continue": next}, "items": items,
	})
	if err != nil {
		panic(err) // it has only what JSON has
	}
	return data
}

// item is an object as an API server has it: most of it is what no table shows.
func item(k kinds.Kind, i int) map[string]any {
	fields := map[string]any{}
	for f := range 40 {
		fields[fmt.Sprintf("f:field%d", f)] = map[string]any{"f:name": map[string]any{}}
	}
	return map[string]any{
		"apiVersion": k.GVK.GroupVersion().String(), "kind": k.GVK.Kind,
		"metadata": map[string]any{
			"name": fmt.Sprintf("object-%04d", i), "namespace": "prod", "resourceVersion": "7", "generation": 1, "creationTimestamp": "2024-01-01T00:00:00Z",
			"managedFields": []any{map[string]any{"manager": "kubectl", "fieldsV1": fields}},
		},
		"spec": map[string]any{"interval": "10m", "sourceRef": map[string]any{"kind": "GitRepository", "name": "fleet"}},
		"status": map[string]any{
			"observedGeneration": 1, "lastAppliedRevision": "main@sha1:0123456789abcdef0123456789abcdef01234567",
			"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "applied", "lastTransitionTime": "2024-01-01T00:00:00Z", "observedGeneration": 1}},
		},
	}
}

func kind(t testing.TB, name string) kinds.Kind {
	t.Helper()
	k, ok := kinds.Find(name)
	if !ok {
		t.Fatalf("no kind %q", name)
	}
	return k
}

func TestListAsksOnceAPage(t *testing.T) {
	t.Parallel()
	ks := kind(t, "ks")
	s := &server{answer: func(req *http.Request) (int, []byte) {
		if req.URL.Query().Get("continue") == "" {
			return http.StatusOK, list(ks, 0, 500, "more")
		}
		return http.StatusOK, list(ks, 500, 3, "")
	}}
	got, err := reader(t, s).List(t.Context(), objects.Query{Kind: ks, Namespace: "prod", Name: "x", Labels: "a=b"})
	if err != nil || len(got.Items) != 503 || got.ResourceVersion != "9" {
		t.Fatalf("List = %d objects at %q, %v; want 503", len(got.Items), got.ResourceVersion, err)
	}
	last := got.Items[502]
	if status, _ := kinds.Ready(last); last.Metadata.Name != "object-0502" || status != "True" || last.Kind != "Kustomization" {
		t.Errorf("the last is %v", last)
	}
	const path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/prod/kustomizations?"
	want := []string{
		path + "fieldSelector=metadata.name%3Dx&labelSelector=a%3Db&limit=500",
		path + "continue=more&fieldSelector=metadata.name%3Dx&labelSelector=a%3Db&limit=500",
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Error(diff)
	}
}

func TestListsOfAllKindsAreOneRequestEach(t *testing.T) {
	t.Parallel()
	all := kinds.All()
	// Nobody is answered before all have asked, so asking one after the other would not end.
	var asked sync.WaitGroup
	asked.Add(len(all))
	s := &server{answer: func(req *http.Request) (int, []byte) {
		asked.Done()
		asked.Wait()
		for _, k := range all {
			if strings.HasSuffix(req.URL.Path, "/"+k.Plural) && k.GVK.Kind != "Alert" {
				return http.StatusOK, list(k, 0, 2, "")
			}
		}
		return http.StatusNotFound, []byte("404 page not found")
	}}
	var queries []objects.Query
	for _, k := range all {
		queries = append(queries, objects.Query{Kind: k})
	}
	lists, err := reader(t, s).Lists(t.Context(), queries)
	if err != nil {
		t.Fatal(err)
	}
	served := slices.DeleteFunc(slices.Clone(all), func(k kinds.Kind) bool { return k.GVK.Kind == "Alert" })
	if len(lists) != len(served) {
		t.Fatalf("%d lists, want %d", len(lists), len(served))
	}
	for i, l := range lists {
		if len(l.Items) != 2 || l.Kind.GVK != served[i].GVK {
			t.Errorf("list %d has %d objects of %s; want 2 of %s", i, len(l.Items), l.Kind, served[i])
		}
	}
	if len(s.asked) != len(all) {
		t.Errorf("asked %d times for %d kinds", len(s.asked), len(all))
	}
}

// TestListsGoOn: a kind that cannot be read does not keep the others back.
func TestListsGoOn(t *testing.T) {
	t.Parallel()
	ks, hr := kind(t, "ks"), kind(t, "hr")
	s := &server{answer: func(req *http.Request) (int, []byte) {
		if strings.HasSuffix(req.URL.Path, "/"+hr.Plural) {
			return http.StatusOK, list(hr, 0, 2, "")
		}
		return http.StatusForbidden, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden","message":"no"}`)
	}}
	both := []objects.Query{{Kind: ks}, {Kind: hr}}
	lists, err := reader(t, s).Lists(t.Context(), both)
	unread := (*objects.Unread)(nil)
	if !errors.As(err, &unread) || unread.All || len(unread.Errs) != 1 || !apierrors.IsForbidden(unread.Errs[0]) {
		t.Errorf("Lists = %v, want that one kind is forbidden", err)
	}
	if len(lists) != 1 || lists[0].Kind.GVK != hr.GVK || len(lists[0].Items) != 2 {
		t.Errorf("Lists = %v, want the other one", lists)
	}
	if whole, err := reader(t, s).Wholes(t.Context(), both); len(whole) != 2 || !errors.As(err, &unread) {
		t.Errorf("Wholes = %d objects, %v; want those of the other kind", len(whole), err)
	}
	lists, err = reader(t, s).Lists(t.Context(), []objects.Query{{Kind: ks}, {Kind: kind(t, "source/git")}})
	if !errors.As(err, &unread) || !unread.All || len(lists) != 0 {
		t.Errorf("Lists = %v, %v; want that nothing can be read", lists, err)
	}
}

func TestListOfAKindThatIsNotServed(t *testing.T) {
	t.Parallel()
	s := &server{answer: func(*http.Request) (int, []byte) { return http.StatusNotFound, []byte("404 page not found") }}
	if _, err := reader(t, s).Lists(t.Context(), []objects.Query{{Kind: kind(t, "ks")}}); !meta.IsNoMatchError(err) {
		t.Errorf("List = %v, want no match", err)
	}
}

// BenchmarkGetAll reads a thousand objects of each kind: what `get all -A` adds to the time
// of the API server.
func BenchmarkGetAll(b *testing.B) {
	var queries []objects.Query
	answers := make(map[string][2][]byte)
	for _, k := range kinds.All() {
		queries = append(queries, objects.Query{Kind: k})
		answers[k.Plural] = [2][]byte{list(k, 0, 500, "more"), list(k, 500, 500, "")}
	}
	s := &server{answer: func(req *http.Request) (int, []byte) {
		pages := answers[req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]]
		if req.URL.Query().Get("continue") == "" {
			return http.StatusOK, pages[0]
		}
		return http.StatusOK, pages[1]
	}}
	r := reader(b, s)
	var bytesRead int64
	for _, pages := range answers {
		bytesRead += int64(len(pages[0]) + len(pages[1]))
	}
	b.SetBytes(bytesRead)
	b.ReportAllocs()
	for b.Loop() {
		lists, err := r.Lists(b.Context(), queries)
		if err != nil || len(lists[0].Items) != 1000 {
			b.Fatal(len(lists[0].Items), err)
		}
	}
}
