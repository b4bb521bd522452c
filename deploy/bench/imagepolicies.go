package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
)

const (
	// policiesEach and tagsEach are how many there are for one of -n, and mostPolicies and
	// mostTags how many at most.
	policiesEach, mostPolicies = 10, 1000
	tagsEach, mostTags         = 100, 10_000

	// popular is the name of an image that many policies select from.
	popular = "popular"
	// vain is how many scans that find nothing new are looked at.
	vain = 2
)

// manyPolicies creates ImagePolicies of one ImageRepository with many tags, and measures
// the time from asking for a scan that finds one tag more until all have selected it. Then
// it looks on while scans find nothing new. There is no floor.
func manyPolicies(ctx context.Context, w *world) (_ result, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	n, tags := min(policiesEach*w.opts.apps, mostPolicies), min(tagsEach*w.opts.apps, mostTags)
	if err := inParallel(ctx, tags, func(ctx context.Context, i int) error { return r.push(ctx, popular, manyTag(i)) }); err != nil {
		return result{}, err
	}
	before, err := w.heldByImages(ctx, n, fmt.Sprintf("before %d policies", n))
	if err != nil {
		return result{}, err
	}
	scans := scanner(popular, r, seldom)
	first, err := w.untilAllSelect(ctx, n, manyTag(tags-1), func(ctx context.Context) error {
		return errors.Join(w.create(ctx, scans), w.createPolicies(ctx, n))
	})
	if err != nil {
		return result{}, err
	}
	var requests int64
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		if err := w.settle(ctx); err != nil {
			return 0, err
		}
		tag := manyTag(tags + round)
		if err := r.push(ctx, popular, tag); err != nil {
			return 0, err
		}
		asked := r.requests.Load()
		took, err := w.untilAllSelect(ctx, n, tag, func(ctx context.Context) error { return w.askFor(ctx, scanner(popular, r, seldom)) })
		requests += r.requests.Load() - asked
		return took, err
	})
	if err != nil {
		return result{}, err
	}
	after, err := w.heldByImages(ctx, n, fmt.Sprintf("with them, of %d tags", tags+w.opts.rounds))
	if err != nil {
		return result{}, err
	}
	nothingNew, err := w.scanInVain(ctx, r)
	if err != nil {
		return result{}, err
	}
	return result{
		goal: "2 requests a policy; 0 for a scan in vain", took: median(times), rounds: w.opts.rounds, programs: used, memory: append(before, after...),
		notes: []string{
			fmt.Sprintf("%d policies of %d tags; all select their first tag %s s after the first of them is created; then %s", n, tags, seconds(first), spread(times)),
			fmt.Sprintf("the registry is asked %s times, as it lists 1000 tags at a time; the API server %.1f times a policy", number(each(int(requests), w.opts.rounds)), requestsEach(used, n*w.opts.rounds)),
			nothingNew,
		},
	}, w.removePolicies(ctx, scans)
}

// createPolicies creates policies of the popular image, each with a range of its own.
func (w *world) createPolicies(ctx context.Context, n int) error {
	return inParallel(ctx, n, func(ctx context.Context, i int) error {
		return w.create(ctx, selector(fmt.Sprintf("policy-%04d", i), popular, fmt.Sprintf(">=1.0.%d", i)))
	})
}

// manyTag is the ith tag of the popular image, higher than those before.
func manyTag(i int) string { return fmt.Sprintf("%d.%d.%d", 1+i/10_000, i/100%100, i%100) }

// untilAllSelect does something and returns how long it takes from its beginning until n
// policies have selected a tag.
func (w *world) untilAllSelect(ctx context.Context, n int, tag string, do func(context.Context) error) (time.Duration, error) {
	limit := w.opts.limit()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not all policies selected %s within %s", tag, limit))
	defer cancel()
	began := time.Now()
	if err := do(ctx); err != nil {
		return 0, err
	}
	end, err := w.allSelect(ctx, n, tag)
	return end.Sub(began), err
}

// allSelect returns when n policies have selected a tag.
func (w *world) allSelect(ctx context.Context, n int, tag string) (time.Time, error) {
	v, err := w.follow(ctx, &imagev1.ImagePolicyList{}, client.InNamespace(namespace))
	if err != nil {
		return time.Time{}, err
	}
	defer v.stop()
	is := selects(tag)
	return v.until(ctx, newEveryone(n, func(obj client.Object) bool { return is(watch.Event{Object: obj}) }, func(obj client.Object) string {
		p, ok := obj.(*imagev1.ImagePolicy)
		if !ok {
			return ""
		}
		return conditions.GetMessage(p, meta.ReadyCondition)
	}))
}

// scanInVain lets scans find nothing new, and tells what they ask for.
func (w *world) scanInVain(ctx context.Context, r *images) (string, error) {
	if err := w.patch(ctx, scanner(popular, r, seldom), fmt.Sprintf(`{"spec":{"interval":%q}}`, w.opts.pushInterval)); err != nil {
		return "", err
	}
	var requests, scans int64
	used, err := w.measured(ctx, func(ctx context.Context) error {
		requests, scans = r.requests.Load(), r.scans.Load()
		const next = 1 // scan, whose first request tells that those before are over
		err := r.scanned(ctx, scans+vain+next, w.opts.limit())
		requests, scans = r.requests.Load()-requests-next, r.scans.Load()-scans-next
		return err
	})
	if err != nil {
		return "", err
	}
	api, spent := 0, time.Duration(0)
	for _, s := range used {
		api += s.total()
		if s.program == imageController {
			spent = s.cpu
		}
	}
	return fmt.Sprintf("%d scans that find nothing new ask the registry %d times and the API server %d times, and use %s CPU s", scans, requests, api, cpu(spent, 1)), nil
}

// scanned waits until there were so many scans.
func (r *images) scanned(ctx context.Context, n int64, limit time.Duration) error {
	const look = 20 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("there were fewer than %d scans within %s", n, limit))
	defer cancel()
	for r.scans.Load() < n {
		if err := pause(ctx, look); err != nil {
			return err
		}
	}
	return nil
}

// heldByImages returns what image-controller has in memory, to be divided by n.
func (w *world) heldByImages(ctx context.Context, n int, when string) ([]held, error) {
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	all, err := w.meter.held(ctx, when)
	if err != nil {
		return nil, err
	}
	var ours []held
	for _, h := range all {
		if h.program == imageController {
			h.program, h.each = imageController+", a policy each", n
			ours = append(ours, h)
		}
	}
	return ours, nil
}

// removePolicies deletes all policies, and what they select from.
func (w *world) removePolicies(ctx context.Context, scans client.Object) error {
	if err := w.Client.DeleteAllOf(ctx, &imagev1.ImagePolicy{}, client.InNamespace(namespace)); err != nil {
		return err
	}
	return w.remove(ctx, scans)
}
