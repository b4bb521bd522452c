package imagerepository_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
)

// TestAFailureLeavesTheList: policies go on with what is known.
func TestAFailureLeavesTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	repo := w.image("app")
	w.waitTags(repo, "1.0.0")
	faults := map[string]struct {
		fault ocitest.Fault
		says  string
	}{
		"registry down":  {fault: ocitest.Status(http.StatusBadGateway), says: "scan failed: registry fails: status 502"},
		"no such":        {fault: ocitest.Only(ocitest.Tags, ocitest.Status(http.StatusNotFound)), says: "scan failed: not found in the registry"},
		"garbage":        {fault: ocitest.Only(ocitest.Tags, ocitest.Garbage("<html>")), says: "scan failed: corrupt content"},
		"half a list":    {fault: ocitest.Only(ocitest.Tags, w.reg.Cut(20)), says: "scan failed: "},
		"a page is lost": {fault: lastPageFails(), says: "scan failed: registry fails: status 500"},
	}
	for name, tc := range faults {
		result, list := repo.Status.LastScanResult.DeepCopy(), w.stored(repo)
		w.reg.Break(tc.fault)
		w.Poke(repo)
		w.waitFailure(repo, imagev1.ReasonReadOperationFailed, tc.says)
		if diff := cmp.Diff(result, repo.Status.LastScanResult); diff != "" {
			t.Errorf("%s: what was found has changed (-before +after):\n%s", name, diff)
		}
		if diff := cmp.Diff(list, w.stored(repo)); diff != "" {
			t.Errorf("%s: what is stored has changed (-before +after):\n%s", name, diff)
		}
		w.waitEvent(repo, corev1.EventTypeWarning, imagev1.ReasonReadOperationFailed, tc.says)
		w.reg.Break(nil)
		w.WaitReady(repo)
	}
}

// lastPageFails answers with one page of two.
func lastPageFails() ocitest.Fault {
	return ocitest.Only(ocitest.Tags, func(rw http.ResponseWriter, req *http.Request) bool {
		if req.URL.Query().Get("last") != "" {
			rw.WriteHeader(http.StatusInternalServerError)
			return true
		}
		rw.Header().Set("Link", "<"+req.URL.Path+`?last=9.0>; rel="next"`)
		_, _ = fmt.Fprint(rw, `{"tags":["9.0"]}`)
		return true
	})
}

// TestAFailureIsToldOnce, however often it is tried again.
func TestAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.reg.Break(ocitest.Status(http.StatusBadGateway))
	repo := w.image("app")
	ready := w.waitFailure(repo, imagev1.ReasonReadOperationFailed, "scan failed")
	w.waitEvent(repo, corev1.EventTypeWarning, imagev1.ReasonReadOperationFailed)
	before, version := w.reg.Counts(), repo.ResourceVersion
	w.Eventually("more attempts", func() bool { return w.reg.Counts().Minus(before).Sum() > 4 })
	w.Get(repo)
	if repo.ResourceVersion != version {
		t.Errorf("the status was written again: %v, then %v", ready, conditions.Get(repo, meta.ReadyCondition))
	}
	if told := w.events(repo, corev1.EventTypeWarning, imagev1.ReasonReadOperationFailed); len(told) != 1 || told[0].Count > 1 {
		t.Errorf("it was told by %d events, %d times", len(told), told[0].Count)
	}
}

// TestRateLimitIsHonoured: the registry is left alone as long as it wants, and a failure
// is told.
func TestRateLimitIsHonoured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	wait := "3600"
	w.reg.Break(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Retry-After", wait)
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	repo := w.image("app", often)
	w.waitFailure(repo, imagev1.ReasonReadOperationFailed, "scan failed: registry fails: status 429 Too Many Requests")
	if !conditions.IsReconciling(repo) {
		t.Error("nothing says that it will be tried again")
	}
	w.waitEvent(repo, corev1.EventTypeWarning, imagev1.ReasonReadOperationFailed, "status 429")
	w.settle()
	w.reg.Break(nil)
	other := w.image("other", often) // whose scans tell the time that has passed
	w.waitTags(other, "1.0.0")
	w.fourScans(other)
	w.Get(repo)
	if conditions.IsReady(repo) {
		t.Error("the registry was asked again before its time")
	}
	w.Poke(repo) // a person may know better
	w.waitTags(repo, "1.0.0")
}

// TestRateLimitEnds: when the time is over, the registry is asked.
func TestRateLimitEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	w.reg.Break(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	repo := w.image("app")
	w.waitFailure(repo, imagev1.ReasonReadOperationFailed, "status 503")
	w.reg.Break(nil)
	w.waitTags(repo, "1.0.0")
}

func TestSpecsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	tests := map[string]struct {
		edit   func(*imagev1.ImageRepositorySpec)
		reason string
		says   string
	}{
		"tag":       {edit: func(s *imagev1.ImageRepositorySpec) { s.Image += ":1.0.0" }, reason: imagev1.ReasonImageURLInvalid, says: `should not contain a tag; remove ":1.0.0"`},
		"digest":    {edit: func(s *imagev1.ImageRepositorySpec) { s.Image += "@sha256:abc" }, reason: imagev1.ReasonImageURLInvalid, says: "it has a digest"},
		"scheme":    {edit: func(s *imagev1.ImageRepositorySpec) { s.Image = "https://" + s.Image }, reason: imagev1.ReasonImageURLInvalid, says: "should not start with URL scheme"},
		"exclusion": {edit: func(s *imagev1.ImageRepositorySpec) { s.ExclusionList = []string{"("} }, reason: imagev1.ReasonReadOperationFailed, says: "scan failed: spec.exclusionList"},
		"gate": {edit: func(s *imagev1.ImageRepositorySpec) {
			s.Provider, s.ServiceAccountName = imagev1.ImageProviderAWS, "robot"
		}, reason: imagev1.ReasonFeatureGateDisabled, says: "ObjectLevelWorkloadIdentity"},
	}
	repos := map[string]*imagev1.ImageRepository{}
	for name, tc := range tests {
		repos[name] = w.image(name, tc.edit)
	}
	for name, tc := range tests {
		repo := repos[name]
		w.waitFailure(repo, tc.reason, tc.says)
		stalled := conditions.Get(repo, meta.StalledCondition)
		if stalled == nil || stalled.Status != metav1.ConditionTrue || stalled.Reason != tc.reason || repo.Status.ObservedGeneration != 1 {
			t.Errorf("%s: it is not Stalled: %v", name, repo.Status)
		}
		w.waitEvent(repo, corev1.EventTypeWarning, tc.reason, tc.says)
	}
	if asked := w.reg.Counts().Sum(); asked > 0 {
		t.Errorf("the registry was asked %d times", asked)
	}
	repo := repos["tag"]
	w.Patch(repo, "test", "spec: {image: "+strings.TrimSuffix(repo.Spec.Image, ":1.0.0")+"}")
	w.waitTags(repo, "1.0.0")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.reg.Break(ocitest.Only(ocitest.Tags, ocitest.Hang()))
	repo := w.image("app", func(s *imagev1.ImageRepositorySpec) { s.Timeout = &metav1.Duration{Duration: time.Second} })
	w.waitFailure(repo, imagev1.ReasonReadOperationFailed, "scan failed: registry fails: no answer in time: the timeout of 1s is over")
	w.reg.Break(nil)
	w.push("1.0.0")
	w.waitTags(repo, "1.0.0")
}
