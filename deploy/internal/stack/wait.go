package stack

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	waitTimeout = 3 * time.Minute // of a machine that has much else to do
	lookEvery   = 5 * time.Millisecond
)

// Until looks at obj again and again until ok holds of it, for three minutes at most. An
// object that does not exist has neither UID nor resource version.
func (s *Stack) Until(ctx context.Context, obj client.Object, ok func() bool) error {
	key := client.ObjectKeyFromObject(obj)
	err := Eventually(ctx, func(ctx context.Context) (bool, error) {
		if err := s.Client.Get(ctx, key, obj); err != nil {
			if client.IgnoreNotFound(err) != nil {
				return false, err
			}
			obj.SetResourceVersion("")
			obj.SetUID("")
		}
		return ok(), nil
	})
	if err != nil {
		return fmt.Errorf("%T %s: %w", obj, key, err)
	}
	return nil
}

// Eventually calls ok again and again until it holds or fails, for three minutes at most.
func Eventually(ctx context.Context, ok func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it did not happen within %s", waitTimeout))
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, lookEvery, true, ok); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// Exists reports whether the object of the last look was there.
func Exists(obj client.Object) bool { return obj.GetUID() != "" && obj.GetDeletionTimestamp().IsZero() }
