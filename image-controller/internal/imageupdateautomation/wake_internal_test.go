package imageupdateautomation

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/controller-runtime/pkg/event"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/pullrequest"
)

// TestBehind: what an automation has pushed itself is no news to it.
func TestBehind(t *testing.T) {
	t.Parallel()
	const pushed, other = "main@sha1:1", "main@sha1:2"
	tests := map[string]struct {
		why, known, published string
		generation            int64 // of the source; 1 is observed
		want                  bool
	}{
		"its own commit":        {known: pushed, published: pushed, generation: 1},
		"another commit":        {why: "it may have new markers", known: pushed, published: other, generation: 1, want: true},
		"nothing published yet": {why: "Git may have a commit all the same", known: pushed, generation: 1, want: true},
		"nothing seen yet":      {generation: 1, want: true},
		"another spec":          {why: "it may be another repository", known: pushed, published: pushed, generation: 2, want: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			auto, repo := &imagev1.ImageUpdateAutomation{}, &sourcev1.GitRepository{}
			auto.Status.ObservedSourceRevision = tc.known
			repo.Generation, repo.Status.ObservedGeneration = tc.generation, 1
			if tc.published != "" {
				repo.Status.Artifact = &meta.Artifact{Revision: tc.published}
			}
			if got := behind(auto, repo); got != tc.want {
				t.Errorf("behind is %t; want %t (%s)", got, tc.want, tc.why)
			}
		})
	}
}

// TestNews: what of another object's update asks for a run.
func TestNews(t *testing.T) {
	t.Parallel()
	policy := func(edit func(*imagev1.ImagePolicy)) bool {
		before := &imagev1.ImagePolicy{}
		before.Status.LatestRef = &imagev1.ImageRef{Name: "app", Tag: "1"}
		after := before.DeepCopy()
		edit(after)
		return policyChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})
	}
	source := func(edit func(*sourcev1.GitRepository)) bool {
		before := &sourcev1.GitRepository{}
		after := before.DeepCopy()
		edit(after)
		return sourceChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})
	}
	automation := func(edit func(*imagev1.ImageUpdateAutomation)) bool {
		before := &imagev1.ImageUpdateAutomation{}
		after := before.DeepCopy()
		edit(after)
		return asked().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})
	}
	tests := map[string]struct{ got, want bool }{
		"another tag":           {policy(func(p *imagev1.ImagePolicy) { p.Status.LatestRef.Tag = "2" }), true},
		"another digest":        {policy(func(p *imagev1.ImagePolicy) { p.Status.LatestRef.Digest = "sha256:1" }), true},
		"no image any more":     {policy(func(p *imagev1.ImagePolicy) { p.Status.LatestRef = nil }), true},
		"another label":         {policy(func(p *imagev1.ImagePolicy) { p.Labels = map[string]string{"team": "a"} }), true},
		"the same image again":  {policy(func(p *imagev1.ImagePolicy) { p.Status.ObservedGeneration++ }), false},
		"another commit":        {source(func(r *sourcev1.GitRepository) { r.Status.Artifact = &meta.Artifact{Revision: "main@sha1:1"} }), true},
		"another source":        {source(func(r *sourcev1.GitRepository) { r.Generation++ }), true},
		"a request of a source": {source(func(r *sourcev1.GitRepository) { r.Annotations = map[string]string{"a": "b"} }), false},
		"a new spec":            {automation(func(a *imagev1.ImageUpdateAutomation) { a.Generation++ }), true},
		"a pull request wanted": {automation(func(a *imagev1.ImageUpdateAutomation) {
			a.Annotations = map[string]string{pullrequest.Annotation: "github"}
		}), true},
		"another annotation": {automation(func(a *imagev1.ImageUpdateAutomation) { a.Annotations = map[string]string{"a": "b"} }), false},
	}
	for name, tc := range tests {
		if tc.got != tc.want {
			t.Errorf("%s: asks for a run is %t; want %t", name, tc.got, tc.want)
		}
	}
}
