package loop

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// random returns a number in [0, 1).
func random() float64 { return rand.Float64() }

// jitter spreads d evenly over d ± fraction·d, so that objects of one interval
// do not all run at once.
func jitter(d time.Duration, fraction float64, random func() float64) time.Duration {
	if fraction <= 0 {
		return d
	}
	return d + time.Duration((2*random()-1)*fraction*float64(d))
}

// Backoff returns the rate limiter of a work queue that doubles the delay of a
// failing object from low up to high.
func Backoff(low, high time.Duration) workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](low, high)
}
