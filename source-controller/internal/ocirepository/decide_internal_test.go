package ocirepository

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
)

const (
	revisionA = "latest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	revisionB = "latest@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestPublished(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	selector := func(mediaType string, operation sourcev1.OCILayerOperation) *sourcev1.OCILayerSelector {
		return &sourcev1.OCILayerSelector{MediaType: mediaType, Operation: operation}
	}
	tests := map[string]struct {
		why                       string
		revision                  string // advertised
		ignore, observedIgnore    *string
		selector, observedByLayer *sourcev1.OCILayerSelector
		want                      bool
	}{
		"as it was":            {revision: revisionA, want: true},
		"nothing":              {},
		"another revision":     {revision: revisionB},
		"the same list":        {revision: revisionA, ignore: text("a"), observedIgnore: text("a"), want: true},
		"another list":         {revision: revisionA, ignore: text("a"), observedIgnore: text("b")},
		"a list less":          {revision: revisionA, observedIgnore: text("b")},
		"an empty list more":   {why: "empty differs from none on the wire", revision: revisionA, ignore: text("")},
		"another layer":        {revision: revisionA, selector: selector("a/b", ""), observedByLayer: selector("c/d", "")},
		"a selector more":      {revision: revisionA, selector: selector("a/b", "")},
		"a selector less":      {revision: revisionA, observedByLayer: selector("a/b", "")},
		"another operation":    {revision: revisionA, selector: selector("", sourcev1.OCILayerCopy), observedByLayer: selector("", sourcev1.OCILayerExtract)},
		"a default in words":   {why: "it makes no other artifact", revision: revisionA, selector: selector("", sourcev1.OCILayerExtract), want: true},
		"the same in all":      {revision: revisionA, selector: selector("a/b", "copy"), observedByLayer: selector("a/b", "copy"), want: true},
		"default of operation": {revision: revisionA, selector: selector("a/b", ""), observedByLayer: selector("a/b", "extract"), want: true},
	}
	for name, tc := range tests {
		repo := &sourcev1.OCIRepository{}
		repo.Spec.Ignore, repo.Status.ObservedIgnore = tc.ignore, tc.observedIgnore
		repo.Spec.LayerSelector, repo.Status.ObservedLayerSelector = tc.selector, tc.observedByLayer
		if tc.revision != "" {
			repo.Status.Artifact = &meta.Artifact{Revision: tc.revision}
		}
		if got := published(repo, revisionA); got != tc.want {
			t.Errorf("%s: published = %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestUnverified(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why        string
		revision   string
		status     metav1.ConditionStatus // empty: no condition
		generation int64                  // of the condition
		want       bool
	}{
		"never":              {revision: revisionA, want: true},
		"good":               {revision: revisionA, status: metav1.ConditionTrue, generation: 3},
		"another spec":       {why: "it may trust others", revision: revisionA, status: metav1.ConditionTrue, generation: 2, want: true},
		"failed":             {revision: revisionA, status: metav1.ConditionFalse, generation: 3, want: true},
		"another revision":   {revision: revisionB, status: metav1.ConditionTrue, generation: 3, want: true},
		"nothing advertised": {why: "what the condition is about is not known", status: metav1.ConditionTrue, generation: 3, want: true},
	}
	for name, tc := range tests {
		repo := &sourcev1.OCIRepository{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
		if tc.revision != "" {
			repo.Status.Artifact = &meta.Artifact{Revision: tc.revision}
		}
		if tc.status != "" {
			repo.Status.Conditions = []metav1.Condition{{Type: sourcev1.ConditionSourceVerified, Status: tc.status, ObservedGeneration: tc.generation}}
		}
		if got := unverified(repo, revisionA); got != tc.want {
			t.Errorf("%s: unverified = %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	layers := []v1.Descriptor{{MediaType: "a/b", Size: 1}, {MediaType: "c/d", Size: 2}, {MediaType: "c/d", Size: 3}}
	for mediaType, want := range map[types.MediaType]int64{"": 1, "a/b": 1, "c/d": 2} {
		if got, err := choose(layers, string(mediaType)); err != nil || got.Size != want {
			t.Errorf("choose(%q) = %d, %v; want layer %d", mediaType, got.Size, err, want)
		}
	}
	for mediaType, want := range map[string]string{"C/D": "failed to find layer with media type 'C/D' in artifact", "c": "failed to find layer with media type 'c' in artifact"} {
		if _, err := choose(layers, mediaType); err == nil || err.Error() != want {
			t.Errorf("choose(%q): %v; want %q", mediaType, err, want)
		}
	}
	if _, err := choose(nil, ""); err == nil || err.Error() != "no layers found in artifact" {
		t.Errorf("choose of none: %v", err)
	}
}
