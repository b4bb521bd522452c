package imagepolicy

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/policy"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

const (
	image   = "registry.example.com/org/app"
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func TestReflected(t *testing.T) {
	t.Parallel()
	now := imagev1.ImageRef{Name: image, Tag: "1.0.0"}
	ref := func(name, tag, digest string) *imagev1.ImageRef {
		return &imagev1.ImageRef{Name: name, Tag: tag, Digest: digest}
	}
	tests := map[string]struct {
		why    string
		when   imagev1.ReflectionPolicy
		last   *imagev1.ImageRef
		digest string
		ask    bool
	}{
		"never":                    {when: imagev1.ReflectNever},
		"never any more":           {why: "what was known is dropped", when: imagev1.ReflectNever, last: ref(image, "1.0.0", digestA)},
		"once, at first":           {when: imagev1.ReflectIfNotPresent, ask: true},
		"once, and known":          {when: imagev1.ReflectIfNotPresent, last: ref(image, "1.0.0", digestA), digest: digestA},
		"once, and not known":      {why: "it was not asked for", when: imagev1.ReflectIfNotPresent, last: ref(image, "1.0.0", ""), ask: true},
		"once, and another tag":    {when: imagev1.ReflectIfNotPresent, last: ref(image, "0.9.0", digestA), ask: true},
		"once, and another image":  {why: "it may have other content", when: imagev1.ReflectIfNotPresent, last: ref("registry.example.com/org/other", "1.0.0", digestA), ask: true},
		"always, and known":        {why: "the tag may have been moved", when: imagev1.ReflectAlways, last: ref(image, "1.0.0", digestA), ask: true},
		"always, at first":         {when: imagev1.ReflectAlways, ask: true},
		"a policy nobody has made": {why: "nothing is asked that was not asked for", when: "Sometimes"},
	}
	for name, tc := range tests {
		if digest, ask := reflected(tc.when, tc.last, now); digest != tc.digest || ask != tc.ask {
			t.Errorf("%s: %q, ask: %t; want %q, ask: %t (%s)", name, digest, ask, tc.digest, tc.ask, tc.why)
		}
	}
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	from := func(selectors ...map[string]string) *imagev1.AccessFrom {
		a := &imagev1.AccessFrom{}
		for _, s := range selectors {
			a.NamespaceSelectors = append(a.NamespaceSelectors, imagev1.NamespaceSelector{MatchLabels: s})
		}
		return a
	}
	tests := map[string]struct {
		why    string
		from   *imagev1.AccessFrom
		labels labels.Set
		want   bool
	}{
		"nothing said":    {why: "an object is for its own namespace"},
		"no selector":     {from: from(), labels: labels.Set{"a": "b"}},
		"an empty one":    {why: "it selects every namespace", from: from(nil), want: true},
		"labels":          {from: from(map[string]string{"a": "b"}), labels: labels.Set{"a": "b", "c": "d"}, want: true},
		"another value":   {from: from(map[string]string{"a": "b"}), labels: labels.Set{"a": "c"}},
		"not all of them": {from: from(map[string]string{"a": "b", "c": "d"}), labels: labels.Set{"a": "b"}},
		"one of two":      {from: from(map[string]string{"a": "b"}, map[string]string{"c": "d"}), labels: labels.Set{"c": "d"}, want: true},
		"no labels":       {from: from(map[string]string{"a": "b"})},
	}
	for name, tc := range tests {
		if got := admits(tc.from, tc.labels); got != tc.want {
			t.Errorf("%s: admitted is %t, want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestMatters(t *testing.T) {
	t.Parallel()
	scanned := func(edit func(*imagev1.ImageRepository)) *imagev1.ImageRepository {
		r := &imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
		r.Status.CanonicalImageName = image
		r.Status.LastScanResult = &imagev1.ScanResult{Revision: "sha256:1", TagCount: 1}
		r.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue}}
		edit(r)
		return r
	}
	failing := func(r *imagev1.ImageRepository) { r.Status.Conditions[0].Status = metav1.ConditionFalse }
	unscanned := func(r *imagev1.ImageRepository) { r.Status.LastScanResult = nil }
	same := func(*imagev1.ImageRepository) {}
	tests := map[string]struct {
		why           string
		before, after func(*imagev1.ImageRepository)
		want          bool
	}{
		"nothing":      {before: same, after: same},
		"a first scan": {before: unscanned, after: same, want: true},
		"other tags":   {before: same, after: func(r *imagev1.ImageRepository) { r.Status.LastScanResult.Revision = "sha256:2" }, want: true},
		"another time of the same tags": {
			why: "they may have been lost", before: same, after: func(r *imagev1.ImageRepository) { r.Status.LastScanResult.ScanTime = metav1.Unix(1, 0) }, want: true,
		},
		"another spec":    {why: "it says who may look, and the name of the image", before: same, after: func(r *imagev1.ImageRepository) { r.Generation++ }, want: true},
		"the other image": {why: "which may have the same tags", before: same, after: func(r *imagev1.ImageRepository) { r.Status.CanonicalImageName = "other" }, want: true},
		"a failure":       {why: "what was found counts on", before: same, after: failing},
		"a recovery":      {why: "lost tags may be there again", before: failing, after: same, want: true},
		"a request":       {before: same, after: func(r *imagev1.ImageRepository) { r.Status.LastHandledReconcileAt = "now" }},
	}
	for name, tc := range tests {
		if got := matters(scanned(tc.before), scanned(tc.after)); got != tc.want {
			t.Errorf("%s: policies are told: %t, want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	for want, ref := range map[string]meta.NamespacedObjectReference{
		"own/app":   {Name: "app"},
		"other/app": {Name: "app", Namespace: "other"},
	} {
		obj := &imagev1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "own"}}
		obj.Spec.ImageRepositoryRef = ref
		if diff := cmp.Diff([]string{want}, indexRepository(obj)); diff != "" {
			t.Errorf("%v is found under (-want +got):\n%s", ref, diff)
		}
	}
}

func TestUnreflected(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		err error
		is  loop.Outcome
	}{
		"an image that is none": {why: "only another spec helps", err: oci.ErrInvalidImage, is: loop.Outcome{Verdict: loop.Stalled, Reason: imagev1.ReasonImageURLInvalid}},
		"a gate that is off":    {err: cloud.ErrGateDisabled, is: loop.Outcome{Verdict: loop.Stalled, Reason: imagev1.ReasonFeatureGateDisabled}},
		"a registry that fails": {why: "it is asked again by and by", err: oci.ErrRegistry, is: loop.Outcome{Verdict: loop.Failed, Reason: imagev1.ReasonFailed}},
		"a tag that is gone":    {err: oci.ErrNotFound, is: loop.Outcome{Verdict: loop.Failed, Reason: imagev1.ReasonFailed}},
	}
	for name, tc := range tests {
		err := fmt.Errorf("asking: %w", tc.err)
		if got := outcome(t, unreflected(err)); got.Verdict != tc.is.Verdict || got.Reason != tc.is.Reason || got.Message() != err.Error() {
			t.Errorf("%s: %s %s %q; want %s %s %q (%s)", name, got.Verdict, got.Reason, got.Message(), tc.is.Verdict, tc.is.Reason, err, tc.why)
		}
	}
}

func TestSelected(t *testing.T) {
	t.Parallel()
	ref := func(tag, digest string) *imagev1.ImageRef {
		return &imagev1.ImageRef{Name: image, Tag: tag, Digest: digest}
	}
	tests := map[string]struct {
		latest, previous *imagev1.ImageRef
		want             string
	}{
		"a tag":       {latest: ref("2", ""), want: "Latest image tag for registry.example.com/org/app resolved to 2"},
		"a digest":    {latest: ref("2", digestA), want: "Latest image tag for registry.example.com/org/app resolved to 2 with digest " + digestA},
		"another tag": {latest: ref("2", ""), previous: ref("1", ""), want: "Latest image tag for registry.example.com/org/app resolved to 2 (previously registry.example.com/org/app:1)"},
		"all": {
			latest: ref("2", digestA), previous: ref("1", digestA),
			want: "Latest image tag for registry.example.com/org/app resolved to 2 with digest " + digestA + " (previously registry.example.com/org/app:1@" + digestA + ")",
		},
		"the same again": {latest: ref("2", ""), previous: ref("2", ""), want: "Latest image tag for registry.example.com/org/app resolved to 2"},
		"nothing":        {want: ""},
	}
	for name, tc := range tests {
		if got := selected(imagev1.ImagePolicyStatus{LatestRef: tc.latest, ObservedPreviousRef: tc.previous}); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	state := func(status metav1.ConditionStatus, reason, message, tag string) *imagev1.ImagePolicy {
		p := &imagev1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{UID: types.UID("1")}}
		if tag != "" {
			p.Status.LatestRef = &imagev1.ImageRef{Name: image, Tag: tag}
		}
		if status != "" {
			p.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: status, Reason: reason, Message: message}}
		}
		return p
	}
	ready := func(tag string) *imagev1.ImagePolicy {
		p := state(metav1.ConditionTrue, imagev1.ReasonSucceeded, "", tag)
		p.Status.Conditions[0].Message = selected(p.Status)
		return p
	}
	failing := func(reason, message string) *imagev1.ImagePolicy {
		return state(metav1.ConditionFalse, reason, message, "1")
	}
	out := func(v loop.Verdict, reason, message string) loop.Outcome {
		return loop.Outcome{Verdict: v, Reason: reason, Err: errors.New(message)}
	}
	deleted := func(p *imagev1.ImagePolicy) *imagev1.ImagePolicy {
		p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		return p
	}
	tests := map[string]struct {
		why           string
		before, after *imagev1.ImagePolicy
		out           loop.Outcome
		want          []loop.Event
	}{
		"the first tag":    {before: state("", "", "", ""), after: ready("1"), want: []loop.Event{{Reason: "Succeeded", Message: "Latest image tag for " + image + " resolved to 1"}}},
		"another tag":      {before: ready("1"), after: ready("2"), want: []loop.Event{{Reason: "Succeeded", Message: "Latest image tag for " + image + " resolved to 2"}}},
		"the same tag":     {before: ready("1"), after: ready("1")},
		"a recovery":       {before: failing("Failure", "x"), after: ready("1"), want: []loop.Event{{Reason: "Succeeded", Message: "Latest image tag for " + image + " resolved to 1"}}},
		"a failure":        {before: ready("1"), after: failing("Failed", "x"), out: out(loop.Failed, "Failed", "x"), want: []loop.Event{{Warning: true, Reason: "Failed", Message: "x"}}},
		"the same failure": {before: failing("Failed", "x"), after: failing("Failed", "x"), out: out(loop.Failed, "Failed", "x")},
		"no match": {
			why: "that is waited for, and yet wrong", before: ready("1"), after: failing("Failure", "x"), out: out(loop.Waiting, "Failure", "x"),
			want: []loop.Event{{Warning: true, Reason: "Failure", Message: "x"}},
		},
		"a bad spec":    {before: ready("1"), after: failing("InvalidPolicy", "x"), out: out(loop.Stalled, "InvalidPolicy", "x"), want: []loop.Event{{Warning: true, Reason: "InvalidPolicy", Message: "x"}}},
		"no scan yet":   {why: "nothing is wrong", before: state("", "", "", ""), after: failing("DependencyNotReady", "x"), out: out(loop.Waiting, "DependencyNotReady", "x")},
		"a deletion":    {before: ready("1"), after: deleted(ready("1"))},
		"a deletion, 2": {why: "what failed before is over", before: state("", "", "", ""), after: deleted(failing("Failed", "x"))},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, new(Reconciler).Events(tc.before, tc.after, tc.out)); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s(%s)", name, diff, tc.why)
		}
	}
}

// TestPreparedListsAreShared while somebody uses them, and forgotten afterwards.
func TestPreparedListsAreShared(t *testing.T) {
	t.Parallel()
	var p prepared
	one := tags.List{Revision: "sha256:1", Tags: []string{"1.0.0"}}
	other := tags.List{Revision: "sha256:2", Tags: []string{"2.0.0"}}
	first := p.of(one)
	if p.of(one) != first {
		t.Error("a list that is in use is made ready again")
	}
	second := p.of(other)
	if first == second || len(p.byRevision) != 2 {
		t.Errorf("%d lists are known, want two that differ", len(p.byRevision))
	}
	latest := func(prepared *policy.Tags) string {
		compiled, err := policy.Compile(imagev1.ImagePolicySpec{Policy: imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: "*"}}})
		if err != nil {
			t.Fatal(err)
		}
		tag, err := compiled.LatestOf(prepared)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	if latest(first) != "1.0.0" || latest(second) != "2.0.0" {
		t.Error("lists are mixed up")
	}
}

// outcome is how a run ends of which a step returns err. Package loop shows that to
// nobody, but an exported field is there to be looked at.
func outcome(t *testing.T, err error) loop.Outcome {
	t.Helper()
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() == reflect.Struct {
		if out, ok := v.FieldByName("Outcome").Interface().(loop.Outcome); ok {
			return out
		}
	}
	t.Fatalf("%v (%T) is no outcome of a run", err, err)
	return loop.Outcome{}
}
