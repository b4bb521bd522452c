package imagepolicy_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

// TestInvalidPolicy: a policy that says nothing is not tried again before it is changed,
// and keeps what it selected.
func TestInvalidPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	w.repository("app")
	tests := map[string]struct {
		patch string
		says  []string
	}{
		"bad-range":   {patch: "spec: {policy: {semver: {range: one}}}", says: []string{"spec.policy.semver.range", `"one"`}},
		"no-choice":   {patch: "spec: {policy: {semver: null}}", says: []string{"spec.policy has none of semver, alphabetical and numerical"}},
		"bad-pattern": {patch: "spec: {filterTags: {pattern: '('}}", says: []string{"spec.filterTags.pattern", `"("`}},
	}
	for name, tc := range tests {
		p := w.policy(name, semver("*"))
		w.waitLatest(p, "1.0.0", "")
		w.Patch(p, "test", tc.patch)
		w.expectFailure(p, imagev1.ReasonInvalidPolicy, append(tc.says, "invalid policy")...)
		stalled := conditions.Get(p, meta.StalledCondition)
		if stalled == nil || stalled.Reason != imagev1.ReasonInvalidPolicy || conditions.Has(p, meta.ReconcilingCondition) {
			t.Errorf("%s: the conditions are %v", name, p.Status.Conditions)
		}
		if p.Status.LatestRef == nil || p.Status.LatestRef.Tag != "1.0.0" {
			t.Errorf("%s: the policy has forgotten what it selected: %v", name, p.Status.LatestRef)
		}
		w.waitEvent(p, corev1.EventTypeWarning, imagev1.ReasonInvalidPolicy, tc.says...)
	}
}

// TestTheAPIServerRefuses what needs no controller to be wrong.
func TestTheAPIServerRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := map[string]struct {
		edit func(*imagev1.ImagePolicy)
		says string
	}{
		"no interval":   {edit: func(p *imagev1.ImagePolicy) { p.Spec.DigestReflectionPolicy = imagev1.ReflectAlways }, says: "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"},
		"an interval":   {edit: func(p *imagev1.ImagePolicy) { p.Spec.Interval = &metav1.Duration{Duration: time.Hour} }, says: "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'"},
		"another order": {edit: func(p *imagev1.ImagePolicy) { p.Spec.Policy = numerical(); p.Spec.Policy.Numerical.Order = "up" }, says: "spec.policy.numerical.order"},
	}
	for name, tc := range tests {
		p := &imagev1.ImagePolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "refused", Namespace: w.Namespace},
			Spec:       imagev1.ImagePolicySpec{ImageRepositoryRef: meta.NamespacedObjectReference{Name: "app"}, Policy: semver("*")},
		}
		tc.edit(p)
		if err := w.Client.Create(t.Context(), p); err == nil || !contains(err.Error(), tc.says) {
			t.Errorf("%s: %v; want %q", name, err, tc.says)
		}
	}
}

// TestNoTagWillDo: what was selected stays, until there are other tags.
func TestNoTagWillDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		choice imagev1.ImagePolicyChoice
		filter *imagev1.TagFilter
		before string // another range, or pattern, that selects 1.0.0
		push   string
		says   []string
	}{
		"nothing-in-range": {
			choice: semver(">=2.0.0"), push: "2.0.0",
			says: []string{"unable to determine latest version from provided list", "tags: 2, versions of three numbers: 1", `in the range ">=2.0.0": 0`},
		},
		"nothing-matches": {
			choice: semver("*"), filter: &imagev1.TagFilter{Pattern: "^v"}, push: "v2.0.0",
			says: []string{"version list argument cannot be empty", `tags: 2, matching spec.filterTags.pattern "^v": 0`},
		},
		"nothing-matches-words": {
			choice: alphabetical(), filter: &imagev1.TagFilter{Pattern: "^v"}, push: "v2.0.0",
			says: []string{"version list argument cannot be empty", `"^v": 0`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push("one", "1.0.0", "latest")
			repo := w.repository("app")
			p := w.policy("app", semver("1.0.0"))
			w.waitLatest(p, "1.0.0", "")
			p.Spec.Policy, p.Spec.FilterTags = tc.choice, tc.filter
			if err := w.Client.Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			w.expectFailure(p, imagev1.ReasonFailure, tc.says...)
			if p.Status.LatestRef == nil || p.Status.LatestRef.Tag != "1.0.0" || p.Status.ObservedGeneration == p.Generation {
				t.Errorf("the status is %v", p.Status)
			}
			w.waitEvent(p, corev1.EventTypeWarning, imagev1.ReasonFailure, tc.says...)
			w.settle()
			runs := w.runs(p)
			w.push("two", tc.push)
			w.scan(repo)
			w.waitLatest(p, tc.push, "")
			w.settle() // a run is counted after its status was written
			if n := w.runs(p) - runs; n != 1 {
				t.Errorf("it took %d runs to see the new tag, want one", n)
			}
		})
	}
}

// TestNotANumber names the tag that is none.
func TestNotANumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "10", "9", "latest")
	w.repository("app")
	p := w.policy("app", numerical())
	w.expectFailure(p, imagev1.ReasonFailure, `tag "latest" is not a number`, "tags: 3, numbers: 2")
	w.Patch(p, "test", "spec: {filterTags: {pattern: '^[0-9]+$'}}")
	w.waitLatest(p, "10", "")
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "resolved to 10")
}

// TestARepositoryThatIsNotThere is noticed as soon as it is.
func TestARepositoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	p := w.policy("app", semver("*"))
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "ImageRepository '"+w.Namespace+"/app' does not exist")
	repo := w.repository("app", func(r *imagev1.ImageRepository) { r.Spec.Suspend = true })
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "referenced ImageRepository has not been scanned yet")
	w.Patch(repo, "test", "spec: {suspend: false}")
	w.waitLatest(p, "1.0.0", "")
	if err := w.Client.Delete(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "does not exist")
	if p.Status.LatestRef == nil || p.Status.LatestRef.Tag != "1.0.0" {
		t.Errorf("without its repository, the policy has %v", p.Status.LatestRef)
	}
	for _, e := range w.events(p) {
		if e.Type == corev1.EventTypeWarning {
			t.Errorf("a warning, though nothing is wrong: %s %s", e.Reason, e.Message)
		}
	}
}

// TestNoTagsInDatabase: all tags of the repository are left out.
func TestNoTagsInDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--requeue-dependency=45s")
	w.push("one", "1.0.0")
	repo := w.repository("app", func(r *imagev1.ImageRepository) { r.Spec.ExclusionList = []string{"^1"} })
	p := w.policy("app", semver("*"))
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "retrying in 45s error: no tags in database")
	w.push("two", "2.0.0")
	w.scan(repo)
	w.waitLatest(p, "2.0.0", "")
}

// TestAnotherImage: tags of the image before are none of this one.
func TestAnotherImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	repo := w.repository("app")
	p := w.policy("app", semver("*"))
	w.waitLatest(p, "1.0.0", "")
	w.settle()
	w.reg.Break(ocitest.Only(ocitest.Tags, ocitest.Status(http.StatusServiceUnavailable)))
	w.Patch(repo, "test", "spec: {image: '"+w.reg.Host()+"/org/other'}")
	w.expectFailure(p, imagev1.ReasonDependencyNotReady, "no tags in database")
	if p.Status.LatestRef.Name != w.image() {
		t.Errorf("the policy has selected %s of the image before", p.Status.LatestRef)
	}
	w.reg.Push("org/other", "1.0.0", ocitest.Files(map[string]string{"app": "other"})) // with the same list of tags
	w.reg.Break(nil)
	w.Wait("the other image", p, func() bool {
		return conditions.IsReady(p) && p.Status.LatestRef.Name == w.reg.Host()+"/org/other"
	})
}

// TestAFailureIsToldOnce, however often it is tried again.
func TestAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("one", "1.0.0")
	w.repository("app")
	w.reg.Break(ocitest.Only(ocitest.Head, ocitest.Status(http.StatusForbidden)))
	p := w.policy("app", semver("*"), once)
	w.expectFailure(p, imagev1.ReasonFailed, "registry refuses access")
	w.waitRuns(p, 4)
	warnings := 0
	for _, e := range w.events(p) {
		if e.Type == corev1.EventTypeWarning {
			warnings += int(max(e.Count, 1))
		}
	}
	if warnings != 1 {
		t.Errorf("one failure, again and again, was told %d times", warnings)
	}
	w.reg.Break(nil)
	w.Wait("a recovery", p, func() bool { return conditions.IsReady(p) })
	w.settle()
	w.Traffic.Reset()
	allow := w.Traffic.Forbid(testplane.Writes())
	w.settle()
	allow()
}
