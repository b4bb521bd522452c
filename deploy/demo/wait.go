package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	stepTimeout = 60 * time.Second
	lookEvery   = 5 * time.Millisecond
)

// until looks at obj again and again until ok holds of it. An object that does not
// exist is emptied but for its name.
func (w *world) until(ctx context.Context, obj client.Object, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("it did not happen within %s", stepTimeout))
	defer cancel()
	key := client.ObjectKeyFromObject(obj)
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		if err := w.client.Get(ctx, key, obj); err != nil {
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

// exists reports whether the object of the last look was there.
func exists(obj client.Object) bool { return obj.GetUID() != "" && obj.GetDeletionTimestamp().IsZero() }

// short prints a duration for people.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
