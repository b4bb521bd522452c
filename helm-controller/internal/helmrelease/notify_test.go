package helmrelease_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// posted is an event as programs of others read it.
type posted struct {
	InvolvedObject      corev1.ObjectReference `json:"involvedObject"`
	Severity            string                 `json:"severity"`
	Reason              string                 `json:"reason"`
	Message             string                 `json:"message"`
	Metadata            map[string]string      `json:"metadata"`
	ReportingController string                 `json:"reportingController"`
}

// notified keeps what a controller posts.
type notified struct {
	mu     sync.Mutex
	events []posted
}

func (n *notified) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var e posted
	if json.NewDecoder(io.LimitReader(req.Body, 1<<20)).Decode(&e) == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, e)
	}
}

// of returns the first event about a HelmRelease that has a reason; nil if there is none.
func (n *notified) of(hr *helmv2.HelmRelease, reason string) *posted {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Reason == reason && e.InvolvedObject.UID == hr.UID {
			return &e
		}
	}
	return nil
}

// TestEventsArePosted to the address that a flag says, with what users add to them. What
// nobody needs to be notified of is not.
func TestEventsArePosted(t *testing.T) {
	t.Parallel()
	var got notified
	srv := httptest.NewServer(&got)
	t.Cleanup(srv.Close)
	w := newWorld(t, "--events-addr="+srv.URL)
	hr := w.release("app", template)
	w.Patch(hr, "test", "metadata: {annotations: {event.toolkit.fluxcd.io/team: ours}}")
	chart := w.chartOf(hr)
	w.Wait("the HelmChart", chart, func() bool { return true })
	w.offer(chart, w.charts.Publish(demo(t, "1.0.0")))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: two"))
	w.waitReleased(hr, 2)
	w.Eventually("the event of the upgrade", func() bool { return got.of(hr, helmv2.ReasonUpgradeSucceeded) != nil })
	e := got.of(hr, helmv2.ReasonUpgradeSucceeded)
	want := posted{
		InvolvedObject: e.InvolvedObject, Severity: "info",
		Reason: helmv2.ReasonUpgradeSucceeded, Message: "Helm upgrade succeeded for release " + w.Namespace + "/app.v2 with chart demo@1.0.0", ReportingController: us,
		Metadata: map[string]string{
			"helm.toolkit.fluxcd.io/revision": "1.0.0", "helm.toolkit.fluxcd.io/token": hr.Status.History[0].ConfigDigest, "event.toolkit.fluxcd.io/team": "ours",
		},
	}
	if diff := cmp.Diff(want, *e); diff != "" {
		t.Errorf("posted (-want +got):\n%s", diff)
	}
	if e.InvolvedObject.Kind != helmv2.HelmReleaseKind || e.InvolvedObject.Name != hr.Name {
		t.Errorf("it is about %+v; want the HelmRelease", e.InvolvedObject)
	}
	w.waitEvent(hr, "Normal", helmv2.ReasonHelmChartCreated)
	if e := got.of(hr, helmv2.ReasonHelmChartCreated); e != nil {
		t.Errorf("posted is %+v; want it to be an event of the cluster only", e)
	}
}
