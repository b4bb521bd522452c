package kustomization_test

import (
	"testing"
	"time"
)

// TestHistoryTellsTheStages: each is there, and what took requests took time.
func TestHistoryTellsTheStages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting)
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))
	told := ks.Status.History.Latest().Metadata
	for stage, min := range map[string]time.Duration{
		"waiting": 0, "building": 0, "validating": time.Millisecond, "applying": time.Millisecond, "becomingHealthy": 0,
	} {
		d, err := time.ParseDuration(told[stage])
		if err != nil || d < min || d > time.Hour {
			t.Errorf("the history says %q of the stage %s; want at least %s", told[stage], stage, min)
		}
	}
}
