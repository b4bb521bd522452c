package main

import (
	"slices"
	"time"
)

// result is what was measured in a scenario.
type result struct {
	name  string
	goal  string        // what is aimed at, for people
	took  time.Duration // the median of the rounds, unless a note says otherwise
	floor *bound        // the same for the floor; nil if there is none
	// rounds is how often it was done. What programs and the floor used is for all
	// rounds together.
	rounds   int
	programs []spent
	memory   []held // of programs, at times that matter
	live     []holder
	busy     []busy // where the time went, of who did it
	notes    []string
	failed   bool // it did not happen; a note says why
}

// median returns the middle of times, and nothing of none.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// ratio returns how many times the floor something is. There is none to nothing.
func ratio[N time.Duration | float64](n, floor N) (float64, bool) {
	if floor <= 0 {
		return 0, false
	}
	return float64(n) / float64(floor), true
}

// medianOf makes one bound of those of several rounds: the median of the times, the sum
// of the costs.
func medianOf(rounds []bound) *bound {
	sum := bound{cost: cost{requests: map[string]int{}}}
	times := make([]time.Duration, len(rounds))
	for i, r := range rounds {
		times[i] = r.took
		sum.cpu += r.cpu
		for method, n := range r.requests {
			sum.requests[method] += n
		}
	}
	sum.took = median(times)
	return &sum
}
