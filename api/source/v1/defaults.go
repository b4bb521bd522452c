package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// defaultTimeout applies to objects that the API server did not default, and to
	// kinds that it has no default for.
	defaultTimeout = 60 * time.Second

	// defaultInterval applies to a HelmRepository, the only kind whose interval is
	// optional.
	defaultInterval = time.Minute
)

// timeout returns the timeout of a spec or, when it is absent, the default.
func timeout(d *metav1.Duration) time.Duration {
	if d == nil {
		return defaultTimeout
	}
	return d.Duration
}
