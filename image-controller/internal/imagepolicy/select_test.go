package imagepolicy_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

// TestANewTagIsSelectedAtOnce: no interval of the policy, and no request for it.
func TestANewTagIsSelectedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0", "latest")
	repo := w.repository("app")
	p := w.policy("app", semver(">=1.0.0"))
	w.waitLatest(p, "1.0.0", "")
	if got, want := conditions.GetMessage(p, meta.ReadyCondition), "Latest image tag for "+w.image()+" resolved to 1.0.0"; got != want {
		t.Errorf("the policy says %q, want %q", got, want)
	}
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "resolved to 1.0.0")
	w.settle()

	w.push("two", "1.10.0", "1.9.0")
	w.Traffic.Reset()
	asked := w.reg.Counts()
	w.scan(repo)
	w.waitLatest(p, "1.10.0", "")
	want := "Latest image tag for " + w.image() + " resolved to 1.10.0 (previously " + w.image() + ":1.0.0)"
	if got := conditions.GetMessage(p, meta.ReadyCondition); got != want {
		t.Errorf("the policy says %q, want %q", got, want)
	}
	if diff := cmp.Diff(&imagev1.ImageRef{Name: w.image(), Tag: "1.0.0"}, p.Status.ObservedPreviousRef); diff != "" {
		t.Errorf("the image before (-want +got):\n%s", diff)
	}
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, want)
	w.settle()
	if n := w.Traffic.Count(testplane.Writes("imagepolicies")); n != 1 {
		t.Errorf("a new tag took %d writes of the policy, want one", n)
	}
	if diff := cmp.Diff(ocitest.Counts{Tags: 1}, w.reg.Counts().Minus(asked)); diff != "" {
		t.Errorf("a new tag took of the registry (-want +got):\n%s", diff)
	}
	for _, e := range w.events(p) {
		if e.Type == corev1.EventTypeWarning {
			t.Errorf("a warning: %s %s", e.Reason, e.Message)
		}
	}
}

// TestPolicies: each kind of policy, as manifests have it, and a change of the spec.
func TestPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("x", "1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "main-0a1b-1700000009", "main-ffff-1700000010", "20", "100")
	w.repository("app")
	tests := map[string]struct {
		choice imagev1.ImagePolicyChoice
		filter *imagev1.TagFilter
		want   string
	}{
		"semver":       {choice: semver("1.x"), want: "1.10.0"},
		"pre-releases": {choice: semver(">=1.0.0-0"), want: "2.0.0-rc.1"},
		"alphabetical": {choice: alphabetical(), filter: &imagev1.TagFilter{Pattern: "^[0-9]+$"}, want: "20"},
		"numerical":    {choice: numerical(), filter: &imagev1.TagFilter{Pattern: "^[0-9]+$"}, want: "100"},
		"extract":      {choice: numerical(), filter: &imagev1.TagFilter{Pattern: "^main-[a-f0-9]+-(?P<ts>[0-9]+)$", Extract: "$ts"}, want: "main-ffff-1700000010"},
	}
	for name, tc := range tests {
		p := w.policy(name, tc.choice, func(p *imagev1.ImagePolicy) { p.Spec.FilterTags = tc.filter })
		w.waitLatest(p, tc.want, "")
	}
	p := w.policy("changing", semver("1.x"))
	w.waitLatest(p, "1.10.0", "")
	w.Patch(p, "test", "spec: {policy: {semver: {range: 1.9.x}}}")
	w.waitLatest(p, "1.9.0", "")
}

// TestSteadyStateAsksNobody, of a policy that follows no digest.
func TestSteadyStateAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digest := w.push("one", "1.0.0")
	repo := w.repository("app")
	never, known := w.policy("never", semver("*")), w.policy("known", semver("*"), once)
	w.waitLatest(never, "1.0.0", "")
	w.waitLatest(known, "1.0.0", digest)
	w.waitEvent(never, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "1.0.0")
	w.waitEvent(known, corev1.EventTypeNormal, imagev1.ReasonSucceeded, digest)
	w.settle()

	before, asked := w.runs(never)+w.runs(known), w.reg.Counts()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return r.Resource != "imagerepositories" && r.Resource != "events" })
	// What the policies have to look at changes, and nothing of it to them.
	w.Patch(repo, "test", "spec: {interval: 2h}")
	w.Eventually("runs of both policies", func() bool { return w.runs(never)+w.runs(known) >= before+2 })
	w.settle()
	allow()
	if got := w.reg.Counts().Minus(asked); got.Heads+got.Manifests > 0 {
		t.Errorf("runs that change nothing asked the registry %+v", got)
	}
}

// TestManyPoliciesOnOneRepository: a new tag costs each that it is for one write, and
// the others nothing.
func TestManyPoliciesOnOneRepository(t *testing.T) {
	t.Parallel()
	const each = 20
	w := newWorld(t)
	w.push("x", "1.0.0", "2.0.0")
	repo := w.repository("app")
	var ones, twos []*imagev1.ImagePolicy
	for i := range each {
		ones = append(ones, w.policy(fmt.Sprintf("one-%d", i), semver("1.x")))
		twos = append(twos, w.policy(fmt.Sprintf("two-%d", i), semver("2.x")))
	}
	for i := range each {
		w.waitLatest(ones[i], "1.0.0", "")
		w.waitLatest(twos[i], "2.0.0", "")
	}
	w.settle()
	w.push("x", "1.1.0")
	w.Traffic.Reset()
	w.scan(repo)
	for i := range each {
		w.waitLatest(ones[i], "1.1.0", "")
	}
	w.settle()
	if n := w.Traffic.Count(testplane.Writes("imagepolicies")); n != each {
		t.Errorf("a new tag for %d policies of %d took %d writes", each, 2*each, n)
	}
}

// TestSuspend: nothing moves, and what moved meanwhile is seen afterwards.
func TestSuspend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	repo := w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.0.0", "")
	w.Patch(p, "test", "spec: {suspend: true}")
	w.Wait("a status of the suspended", p, func() bool { return p.Status.ObservedGeneration == p.Generation })
	w.push("two", "1.1.0")
	w.scan(repo)
	w.settle()
	if w.Get(p); p.Status.LatestRef.Tag != "1.0.0" {
		t.Errorf("while it is suspended, the policy selects %s", p.Status.LatestRef.Tag)
	}
	w.Patch(p, "test", "spec: {suspend: false}")
	w.waitLatest(p, "1.1.0", "")
}

// TestRestartKeepsWhatWasSelected: the list is on disk, so that nothing is asked for.
func TestRestartKeepsWhatWasSelected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0", "1.1.0")
	w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.1.0", "")
	w.settle()
	before, runs := w.reg.Counts(), w.runs(p)
	allow := w.Traffic.Forbid(testplane.Writes())
	w.restart()
	w.Eventually("a run after the restart", func() bool { return w.runs(p) > runs })
	w.settle()
	allow()
	if got := w.reg.Counts().Minus(before); got.Sum() > 0 {
		t.Errorf("a restart asked the registry %+v", got)
	}
	if w.Get(p); !conditions.IsReady(p) || p.Status.LatestRef.Tag != "1.1.0" {
		t.Errorf("after a restart, the policy is %v with %v", conditions.Get(p, meta.ReadyCondition), p.Status.LatestRef)
	}
}

// TestLostStorageSelectsNothingOlder: there is a whole list, or none.
func TestLostStorageSelectsNothingOlder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0", "1.1.0")
	repo := w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.1.0", "")
	w.settle()
	w.reg.Break(ocitest.Only(ocitest.Tags, ocitest.Status(http.StatusServiceUnavailable)))
	w.stop()
	w.dir = t.TempDir()
	w.start()
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "retrying in 1h0m0s error: no tags in database")
	if p.Status.LatestRef == nil || p.Status.LatestRef.Tag != "1.1.0" {
		t.Errorf("with no list, the policy has %v", p.Status.LatestRef)
	}
	w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, imagev1.ReasonReadOperationFailed)
	w.reg.Break(nil)
	w.waitLatest(p, "1.1.0", "")
	if p.Status.ObservedPreviousRef != nil {
		t.Errorf("meanwhile, the policy selected %v", p.Status.ObservedPreviousRef)
	}
}

// TestLostStorageIsFilledAtOnce: a scan that finds the same tags again is not missed.
func TestLostStorageIsFilledAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0", "1.1.0")
	w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.1.0", "")
	w.settle()
	w.stop()
	w.dir = t.TempDir()
	hold := make(chan struct{})
	w.reg.Break(ocitest.Only(ocitest.Tags, func(http.ResponseWriter, *http.Request) bool { <-hold; return false }))
	w.start()
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "no tags in database")
	close(hold)
	w.waitLatest(p, "1.1.0", "")
}

// TestPartOfAListIsNoList: a scan that ends early changes nothing.
func TestPartOfAListIsNoList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0", "1.1.0")
	repo := w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.1.0", "")
	for i := range 1000 { // which makes a second page
		w.push("x", fmt.Sprintf("0.0.%d", i))
	}
	w.push("x", "9.0.0")
	w.reg.Break(func(rw http.ResponseWriter, req *http.Request) bool {
		return ocitest.KindOf(req) == ocitest.Tags && req.URL.Query().Has("last") && ocitest.Status(http.StatusBadGateway)(rw, req)
	})
	w.Poke(repo)
	w.WaitHandled(repo)
	w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, imagev1.ReasonReadOperationFailed)
	if w.Get(p); p.Status.LatestRef.Tag != "1.1.0" || !conditions.IsReady(p) {
		t.Errorf("after half a scan, the policy selects %s", p.Status.LatestRef.Tag)
	}
	w.reg.Break(nil)
	w.waitLatest(p, "9.0.0", "")
}

// TestDeletion: nothing holds a policy back.
func TestDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	w.repository("app")
	p := w.policy("app", semver("*"), always(time.Hour))
	w.Wait("a digest", p, func() bool { return p.Status.LatestRef != nil && p.Status.LatestRef.Digest != "" })
	if err := w.Client.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(p)
}
