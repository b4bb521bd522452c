package loop

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestJitter(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		fraction float64
		random   float64
		want     time.Duration
	}{
		"is off at zero":         {why: "tests and users want exact intervals", fraction: 0, random: 0.9, want: 100 * time.Second},
		"is off below zero":      {why: "a negative fraction means nothing", fraction: -1, random: 0.9, want: 100 * time.Second},
		"reaches down":           {why: "both ways, so that the mean stays", fraction: 0.05, random: 0, want: 95 * time.Second},
		"leaves the middle":      {why: "both ways, so that the mean stays", fraction: 0.05, random: 0.5, want: 100 * time.Second},
		"reaches up":             {why: "both ways, so that the mean stays", fraction: 0.05, random: 1, want: 105 * time.Second},
		"never reaches the past": {why: "the largest fraction that a flag allows", fraction: 0.99, random: 0, want: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := jitter(100*time.Second, tc.fraction, func() float64 { return tc.random })
			if d := got - tc.want; d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("jitter(100s, %v) at %v is %v, want %v (%s)", tc.fraction, tc.random, got, tc.want, tc.why)
			}
		})
	}
}

func TestRandomSpreads(t *testing.T) {
	t.Parallel()
	var low, high bool
	for range 1000 {
		r := random()
		if r < 0 || r >= 1 {
			t.Fatalf("random returned %v", r)
		}
		low, high = low || r < 0.5, high || r >= 0.5
	}
	if !low || !high {
		t.Error("1000 numbers lie in the same half")
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	limiter := Backoff(time.Second, 5*time.Second)
	a := reconcile.Request{NamespacedName: types.NamespacedName{Name: "a"}}
	b := reconcile.Request{NamespacedName: types.NamespacedName{Name: "b"}}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		if got := limiter.When(a); got != want {
			t.Errorf("failure %d waits %v, want %v", i+1, got, want)
		}
	}
	if got := limiter.When(b); got != time.Second {
		t.Errorf("the first failure of another object waits %v, want 1s", got)
	}
	if limiter.Forget(a); limiter.When(a) != time.Second {
		t.Error("a success does not end the backoff")
	}
}
