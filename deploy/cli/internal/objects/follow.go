package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
)

// anew is how long to wait before a list that follows a lost watch.
const anew = time.Second

// Follow gives take what is there, and then each object as it changes, until ctx ends or
// take fails. Take is called by one at a time. Of several kinds, those that are not installed
// are left out, and those that who asks may not see are given to unseen.
func (r Reader) Follow(ctx context.Context, c client.WithWatch, queries []Query, take func([]kinds.Object) error, unseen func(error)) error {
	var mu sync.Mutex
	var none error // why a kind is not followed
	g, following := errgroup.WithContext(ctx)
	for _, q := range queries {
		g.Go(func() error {
			err := r.followOn(following, c, q, func(all []kinds.Object) error {
				mu.Lock()
				defer mu.Unlock()
				return take(all)
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case len(queries) == 1:
				return err
			case apimeta.IsNoMatchError(err):
				if none == nil {
					none = err
				}
				return nil
			case apierrors.IsForbidden(err):
				none = err
				unseen(err)
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	return none // there is nothing to follow
}

// followOn follows a kind until ctx ends, which is no error. What fails at first, fails; once
// there was an answer, it is asked for again until there is another.
func (r Reader) followOn(ctx context.Context, c client.WithWatch, q Query, take func([]kinds.Object) error) error {
	seen := make(map[string]string)
	answered := false
	for {
		err := r.follow(ctx, c, q, func(all []kinds.Object) error {
			answered = true
			if err := take(fresh(seen, all)); err != nil {
				return &refused{err}
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil // asked to end
		}
		if no := (*refused)(nil); errors.As(err, &no) {
			return no.error
		}
		if err != nil && (!answered || await.Lasting(err)) {
			return err
		}
		_ = await.Pause(ctx, anew) // whether ctx has ended is seen next
	}
}

// refused is an error of who takes objects.
type refused struct{ error }

// fresh returns what was not seen before as it is, and remembers it.
func fresh(seen map[string]string, all []kinds.Object) []kinds.Object {
	var out []kinds.Object
	for _, o := range all {
		key := o.Metadata.Namespace + "/" + o.Metadata.Name
		if seen[key] != o.Metadata.ResourceVersion {
			seen[key] = o.Metadata.ResourceVersion
			out = append(out, o)
		}
	}
	return out
}

// follow lists, and watches until the watch ends.
func (r Reader) follow(ctx context.Context, c client.WithWatch, q Query, take func([]kinds.Object) error) error {
	list, err := r.List(ctx, q)
	if err != nil {
		return err
	}
	if err := take(list.Items); err != nil {
		return err
	}
	mapping, err := r.Mapping(q.Kind)
	if err != nil {
		return err
	}
	items := &unstructured.UnstructuredList{}
	items.SetGroupVersionKind(mapping.GroupVersionKind.GroupVersion().WithKind(q.Kind.GVK.Kind + "List"))
	raw := &metav1.ListOptions{ResourceVersion: list.ResourceVersion, LabelSelector: q.Labels}
	if q.Name != "" {
		raw.FieldSelector = "metadata.name=" + q.Name
	}
	changes, err := c.Watch(ctx, items, client.InNamespace(q.Namespace), &client.ListOptions{Raw: raw})
	if err != nil {
		return fmt.Errorf("watching %s: %w", q.Kind.Plural, err)
	}
	defer changes.Stop()
	for e := range changes.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Error {
			return nil // too old: list again
		}
		o, err := kinds.Read(u)
		if err != nil {
			return err
		}
		if e.Type == watch.Deleted || e.Type == watch.Bookmark {
			continue
		}
		if err := take([]kinds.Object{o}); err != nil {
			return err
		}
	}
	return nil
}
