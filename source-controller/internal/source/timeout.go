package source

import (
	"context"
	"errors"
	"time"
)

// Within bounds one exchange with an origin by the timeout of a spec.
func Within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errors.New("spec.timeout of "+timeout.String()+" is over"))
}
