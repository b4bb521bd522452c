package imagerepository

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/tags"
)

const (
	image    = "registry.example.com/app"
	revision = "sha256:abc"
)

// scanned is a repository that was scanned, and is as its spec says.
func scanned() *imagev1.ImageRepository {
	return &imagev1.ImageRepository{
		ObjectMeta: metav1.ObjectMeta{Generation: 2, Annotations: map[string]string{meta.ReconcileRequestAnnotation: "one"}},
		Spec: imagev1.ImageRepositorySpec{
			Image: image, Interval: metav1.Duration{Duration: time.Hour}, ExclusionList: []string{`\.sig$`},
		},
		Status: imagev1.ImageRepositoryStatus{
			ObservedGeneration: 2, CanonicalImageName: image, ObservedExclusionList: []string{`\.sig$`},
			ReconcileRequestStatus: meta.ReconcileRequestStatus{LastHandledReconcileAt: "one"},
			LastScanResult:         &imagev1.ScanResult{Revision: revision, TagCount: 2},
			Conditions:             []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue}},
		},
	}
}

func TestReasonForAScan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		why    string
		edit   func(*imagev1.ImageRepository)
		scan   tags.Scan // zero: as the status says, a minute ago
		none   bool      // no list is stored
		jitter float64
		want   string
	}{
		"nothing":               {why: "the interval is not over"},
		"a new object":          {edit: func(r *imagev1.ImageRepository) { r.Status = imagev1.ImageRepositoryStatus{} }, none: true, want: firstScan},
		"a request":             {edit: func(r *imagev1.ImageRepository) { r.Annotations[meta.ReconcileRequestAnnotation] = "two" }, want: requested},
		"a request taken away":  {edit: func(r *imagev1.ImageRepository) { r.Annotations = nil }},
		"another image":         {edit: func(r *imagev1.ImageRepository) { r.Status.CanonicalImageName = "registry.example.com/other" }, none: true, want: newImage},
		"another exclusion":     {edit: func(r *imagev1.ImageRepository) { r.Spec.ExclusionList = []string{"x"} }, want: newExclusions},
		"no exclusion":          {edit: func(r *imagev1.ImageRepository) { r.Spec.ExclusionList = nil }, want: newExclusions},
		"the list is lost":      {none: true, want: noTags},
		"the list is another":   {why: "the process ended before it could tell", scan: tags.Scan{Revision: "sha256:def", Time: now}, want: noTags},
		"another spec":          {why: "it may be the Secret", edit: func(r *imagev1.ImageRepository) { r.Generation++ }, want: newSpec},
		"a failure":             {edit: func(r *imagev1.ImageRepository) { r.Status.Conditions[0].Status = metav1.ConditionFalse }, want: lastFailed},
		"the interval is over":  {scan: tags.Scan{Revision: revision, Time: now.Add(-time.Hour)}, want: intervalOver},
		"almost over":           {scan: tags.Scan{Revision: revision, Time: now.Add(-time.Hour + time.Second)}},
		"almost, and spread":    {why: "it was woken for that", scan: tags.Scan{Revision: revision, Time: now.Add(-58 * time.Minute)}, jitter: 0.05, want: intervalOver},
		"not yet, and spread":   {scan: tags.Scan{Revision: revision, Time: now.Add(-56 * time.Minute)}, jitter: 0.05},
		"a scan in the future":  {why: "the clock was set back", scan: tags.Scan{Revision: revision, Time: now.Add(time.Hour)}, want: intervalOver},
		"no tags at the origin": {why: "a list without tags is one", edit: func(r *imagev1.ImageRepository) { r.Status.LastScanResult.TagCount = 0 }},
	}
	for name, tc := range tests {
		repo, scan := scanned(), tc.scan
		if tc.edit != nil {
			tc.edit(repo)
		}
		if scan == (tags.Scan{}) && !tc.none {
			scan = tags.Scan{Revision: revision, Time: now.Add(-time.Minute)}
		}
		if got := reason(repo, image, scan, now, tc.jitter); got != tc.want {
			t.Errorf("%s: the reason is %q, want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(*imagev1.ImageRepositorySpec)
		says string // empty: nothing is wrong
	}{
		"fine":               {edit: func(*imagev1.ImageRepositorySpec) {}},
		"a tag":              {edit: func(s *imagev1.ImageRepositorySpec) { s.Image = image + ":1.0" }, says: "tag"},
		"a scheme":           {edit: func(s *imagev1.ImageRepositorySpec) { s.Image = "https://" + image }, says: "scheme"},
		"no pattern":         {edit: func(s *imagev1.ImageRepositorySpec) { s.ExclusionList = []string{"a", "("} }, says: "spec.exclusionList"},
		"a very long one":    {edit: func(s *imagev1.ImageRepositorySpec) { s.ExclusionList = []string{strings.Repeat("a", maxPattern+1)} }, says: "more than 4096 bytes"},
		"one that repeats":   {edit: func(s *imagev1.ImageRepositorySpec) { s.ExclusionList = []string{"(a{1000}){1000}"} }, says: "spec.exclusionList"},
		"patterns of a list": {edit: func(s *imagev1.ImageRepositorySpec) { s.ExclusionList = []string{`^a`, `b$`} }},
	}
	for name, tc := range tests {
		repo := scanned()
		tc.edit(&repo.Spec)
		err := new(Reconciler).inspect(t.Context(), &scope{repo: repo})
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to say %q", name, err, tc.says)
		}
	}
}

func TestExclusions(t *testing.T) {
	t.Parallel()
	s := &scope{repo: scanned()}
	s.repo.Spec.ExclusionList = []string{`^.*\.sig$`, `^sha256-`}
	if err := new(Reconciler).inspect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]bool{"1.0": false, "1.0.sig": true, "1.0.sig2": false, "sha256-abc.att": true, "x-sha256-abc": false} {
		if got := s.excluded.match(tag); got != want {
			t.Errorf("%s: left out is %t, want %t", tag, got, want)
		}
	}
}

// known is what a store knows of one list.
type known struct {
	Lists
	scan tags.Scan
	ok   bool
}

func (k known) Scanned(types.NamespacedName, string) (tags.Scan, bool) { return k.scan, k.ok }

// TestNextScan: a run that scans nothing, since a Secret was edited in vain, does not put
// the next scan off.
func TestNextScan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		why  string
		ago  time.Duration // of the last scan
		none bool
		want time.Duration
	}{
		"after a scan":         {want: time.Hour},
		"a while after it":     {ago: 20 * time.Minute, want: 40 * time.Minute},
		"when it is time":      {why: "zero would be never", ago: time.Hour, want: time.Millisecond},
		"long after":           {ago: 48 * time.Hour, want: time.Millisecond},
		"a clock was set back": {ago: -time.Hour, want: time.Hour},
		"nothing is known":     {none: true, want: time.Hour},
	}
	for name, tc := range tests {
		r := &Reconciler{now: func() time.Time { return now }, lists: known{scan: tags.Scan{Revision: revision, Time: now.Add(-tc.ago)}, ok: !tc.none}}
		if got := r.next(scanned()); got != tc.want {
			t.Errorf("%s: the next scan is in %s, want %s (%s)", name, got, tc.want, tc.why)
		}
	}
}
