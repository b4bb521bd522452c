package v2

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// defaultTimeout limits an action of Helm.
	defaultTimeout = 5 * time.Minute

	// defaultRetryInterval is the time between two attempts of RetryOnFailure.
	defaultRetryInterval = 5 * time.Minute

	// defaultMaxHistory is how many releases of a name are kept.
	defaultMaxHistory = 5
)

// either returns value or, when it is empty, the default.
func either[T ~string](value, def T) T {
	if value == "" {
		return def
	}
	return value
}

// given returns what value points to or, when it is absent, the default.
func given[T any](value *T, def T) T {
	if value == nil {
		return def
	}
	return *value
}

// duration returns d or, when it is absent, the default.
func duration(d *metav1.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.Duration
}
