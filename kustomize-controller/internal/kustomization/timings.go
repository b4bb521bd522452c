package kustomization

import (
	"iter"
	"strconv"
	"time"
)

// Stages on the way of a new revision into the cluster.
const (
	stageWaiting    = "waiting"    // for a worker, and for dependencies
	stageBuilding   = "building"   // with the download of the artifact
	stageValidating = "validating" // by dry run
	stageApplying   = "applying"   // with prune and the status
	stageHealthy    = "becomingHealthy"
)

// timings is how long the stages of a revision took, over all runs that it took.
type timings struct {
	of      string    // revision and generation
	since   time.Time // when it was heard of
	began   time.Time // when it was its turn; zero if it is not yet
	applied time.Time // when all was applied; zero if it is not yet

	waiting, building, validating, applying, healthy time.Duration
}

// all are the stages, in their order.
func (t timings) all() iter.Seq2[string, time.Duration] {
	return func(yield func(string, time.Duration) bool) {
		_ = yield(stageWaiting, t.waiting) && yield(stageBuilding, t.building) && yield(stageValidating, t.validating) &&
			yield(stageApplying, t.applying) && yield(stageHealthy, t.healthy)
	}
}

// time begins to time a revision, unless that is under way.
func (s *scope) time() *timings {
	m := s.memory
	if of := s.revision() + " " + strconv.FormatInt(s.ks.Generation, 10); m.timings.of != of {
		m.timings = timings{of: of, since: m.heardOf(s.revision(), s.start)}
	}
	return &m.timings
}

// turn notes that the revision has its turn.
func (t *timings) turn() {
	if t.began.IsZero() {
		t.began = time.Now()
		t.waiting = t.began.Sub(t.since)
	}
}

// done notes that all is applied.
func (t *timings) done() {
	if t.applied.IsZero() {
		t.applied = time.Now()
	}
}

// spend adds the time since start to a stage.
func spend(stage *time.Duration, start time.Time) { *stage += time.Since(start) }
