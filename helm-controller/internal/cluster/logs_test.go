package cluster_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
)

// TestLogs of Pods are read from their end, up to a limit, as the tenant.
func TestLogs(t *testing.T) {
	t.Parallel()
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}},
	}
	const user = "system:serviceaccount:ns:team"
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		q := req.URL.Query()
		if got := req.Header.Get("Impersonate-User"); got != user {
			t.Errorf("asked as %q; want %q", got, user)
		}
		switch req.URL.Path {
		case "/api/v1/namespaces/ns/pods":
			if q.Get("labelSelector") != "job-name=j" || q.Get("limit") == "" {
				t.Errorf("asked for Pods by %v; want those of the Job, and not more than a limit", q)
			}
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{pod}})
		case "/api/v1/namespaces/ns/pods/p/log":
			if q.Get("tailLines") == "" {
				t.Errorf("asked for a log by %v; want its end", q)
			}
			if q.Get("container") == "b" {
				_, _ = rw.Write(bytes.Repeat([]byte("x"), 1<<20))
				return
			}
			_, _ = io.WriteString(rw, "said\n")
		default:
			t.Errorf("asked for %s", req.URL)
		}
	}))
	t.Cleanup(server.Close)
	clusters, err := tenant.New(&rest.Config{Host: server.URL}, server.Client(), meta.NewDefaultRESTMapper(nil), tenant.Options{
		Apply: apply.Config{Manager: cluster.Manager}, OwnerName: labelName, OwnerNamespace: labelNamespace,
		Wake: func(types.NamespacedName) {}, Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := clusters.Enter(types.NamespacedName{Namespace: "ns", Name: "app"}, user)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.New(t.Context(), at, cluster.Options{})
	pods, err := c.GetPodList("ns", metav1.ListOptions{LabelSelector: "job-name=j"})
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]*bytes.Buffer)
	err = c.OutputContainerLogsForPodList(pods, "ns", func(_, _, container string) io.Writer {
		said[container] = &bytes.Buffer{}
		return said[container]
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{"a": said["a"].Len(), "b": said["b"].Len()}
	if diff := cmp.Diff(map[string]int{"a": len("said\n"), "b": 256 << 10}, got); diff != "" {
		t.Errorf("bytes of logs (-want +got):\n%s", diff)
	}
}
