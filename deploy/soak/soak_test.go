// Package soak_test lets the programs that users install work for a while on a control
// plane of their own, while people commit, edit and delete what they like, and processes
// are killed. At the end, the cluster must be what Git says.
//
// All that is done follows from a seed. -seed does the same again.
package soak_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// What `make soak` makes longer. Flags have to be known before any test begins.
var (
	length = flag.Duration("soak", 30*time.Second, "how long to go on")
	apps   = flag.Int("kustomizations", 40, "number of Kustomizations")
	seed   = flag.Uint64("seed", 0, "what the sequence of actions follows from; 0 means any")
)

const (
	// settleTimeout bounds how long the cluster may take to become what Git says when
	// nobody disturbs it any more.
	settleTimeout = 3 * time.Minute
	// deleteTimeout bounds how long it may take until all is deleted.
	deleteTimeout = 2 * time.Minute
	// mostPause is how long there is nothing between two actions at most.
	mostPause = 500 * time.Millisecond
)

func TestSoak(t *testing.T) {
	number := *seed
	if number == 0 {
		number = uint64(time.Now().UnixNano())
	}
	t.Logf("the seed is %d: repeat with -seed=%d -kustomizations=%d -soak=%s", number, number, *apps, *length)
	random := rand.New(rand.NewPCG(number, 0))
	w := newWorld(t)
	git := newFleet(random, *apps)
	s := &soak{world: w, fleet: git, random: random}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed is %d; the last actions were\n%s", number, s.last())
		}
	})
	s.begin()
	s.breakRelease()

	began := time.Now()
	for time.Since(began) < *length && !t.Failed() {
		s.act()
	}
	t.Logf("%d actions: %s", len(s.done), s.summary())

	w.restore()
	s.mend()
	s.dropStrays()
	s.waitEqual()
	s.tellFailures()
	w.waitRest()
	w.checkProcesses()
	s.deleteAll()
	w.stop()
	w.checkFiles()
}

// TestSequenceFollowsFromTheSeed: else a failure could not be looked into.
func TestSequenceFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	const actions = 500
	sequence := func(seed uint64) string {
		random := rand.New(rand.NewPCG(seed, 0))
		s := &soak{fleet: newFleet(random, 20), random: random}
		all := ""
		for range actions {
			a, pause := s.next()
			all += fmt.Sprintf("%s; %s\n", a.what, pause)
		}
		return all
	}
	if first, second := sequence(7), sequence(7); first != second {
		t.Error("the same seed gives two sequences")
	}
	if sequence(7) == sequence(8) {
		t.Error("two seeds give the same sequence")
	}
}
