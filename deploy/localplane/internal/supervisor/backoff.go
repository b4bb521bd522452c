package supervisor

import "time"

// Backoff is how long to wait before a process is started again. The zero value
// waits 200ms, twice as long each time, 10s at most, until a run has lasted 30s.
type Backoff struct {
	First time.Duration
	Most  time.Duration
	Lasts time.Duration // a run of this length was a good one
}

// Wait returns how long to wait after so many failures in a row.
func (b Backoff) Wait(failures int) time.Duration {
	first, most := orElse(b.First, 200*time.Millisecond), orElse(b.Most, 10*time.Second)
	for ; failures > 1 && first < most; failures-- {
		first *= 2
	}
	return min(first, most)
}

// lasted tells whether a run of that length was a good one.
func (b Backoff) lasted(run time.Duration) bool {
	return run >= orElse(b.Lasts, 30*time.Second)
}

func orElse(d, zero time.Duration) time.Duration {
	if d == 0 {
		return zero
	}
	return d
}
