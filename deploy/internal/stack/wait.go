package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	waitTimeout = 60 * time.Second
	lookEvery   = 5 * time.Millisecond
)

// Until looks at obj again and again until ok holds of it, for a minute at most. An
// object that does not exist has neither UID nor resource version.
func (s *Stack) Until(ctx context.Context, obj client.Object, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it did not happen within %s", waitTimeout))
	defer cancel()
	key := client.ObjectKeyFromObject(obj)
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		if err := s.Client.Get(ctx, key, obj); err != nil {
			if client.IgnoreNotFound(err) != nil {
				return false, err
			}
			obj.SetResourceVersion("")
			obj.SetUID("")
		}
		return ok(), nil
	})
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("last seen of %T %s", obj, key))
	}
	return err
}

// Exists reports whether the object of the last look was there.
func Exists(obj client.Object) bool { return obj.GetUID() != "" && obj.GetDeletionTimestamp().IsZero() }
