package verb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/deploy/cli/internal/await"
)

const (
	// lookAgain is how long to wait before pods are listed again, after a log that has ended.
	lookAgain = 2 * time.Second
	// lookEvery is how often they are listed while no log ends: a pod may come long after the
	// one that it takes the place of is gone.
	lookEvery = 5 * time.Second
)

// tail follows the logs of controllers, also those of pods that come later.
type tail struct {
	*logs
	hand    *hand
	options *corev1.PodLogOptions // what is asked of the pods that there are at first
	within  string                // the namespace that who asks works in
	ended   chan struct{}         // says that a log has ended; one that nobody has heard yet is enough

	mu      sync.Mutex         // of what is below, and of what is printed
	pods    map[string]*tailed // by name, which no other pod of a Deployment gets
	running int
	opened  bool   // whether any log could be read so far
	said    string // what was last said of the list of pods
}

// tailed is a pod whose log is followed.
type tailed struct {
	pod     corev1.Pod
	running bool
	tried   bool
	late    bool      // it came later than the command, so all that it logs is new
	empty   time.Time // when there was no line yet, so all that it logs after that is new
	last    time.Time // when its last line was written, by its own clock
	err     error     // why the log ended, if not by itself
	said    string    // what was last said of that
}

// tailAll prints lines as they come, until ctx ends. That one log cannot be read does not keep
// back the others; the error says that none can be.
func (l *logs) tailAll(ctx context.Context, h *hand, pods []corev1.Pod, options *corev1.PodLogOptions) error {
	g, ctx := errgroup.WithContext(ctx)
	t := &tail{logs: l, hand: h, options: options, within: h.Namespace(), ended: make(chan struct{}, 1), pods: make(map[string]*tailed)}
	for _, pod := range pods {
		t.pods[pod.Name] = &tailed{pod: pod}
	}
	g.Go(func() error { return t.run(ctx, g, pods) })
	return g.Wait()
}

// run has the logs of pods read by g: of those that there are, and of those that come.
func (t *tail) run(ctx context.Context, g *errgroup.Group, pods []corev1.Pod) error {
	for {
		for _, p := range t.due(pods) {
			g.Go(func() error { return t.read(ctx, p) })
		}
		if err := t.wait(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		t.tellFailed()
		var err error
		if pods, err = t.logs.pods(ctx, t.hand); await.Lasting(err) {
			return err
		}
		if err != nil && ctx.Err() == nil && err.Error() != t.said { // as of an API server that starts anew
			t.said = err.Error()
			t.hand.Warn("%v", err)
		}
	}
}

// due returns the pods whose logs are to be read, from now on.
func (t *tail) due(pods []corev1.Pod) []*tailed {
	t.mu.Lock()
	defer t.mu.Unlock()
	var due []*tailed
	for _, pod := range pods {
		p := t.pods[pod.Name]
		if p == nil {
			p = &tailed{late: true}
			t.pods[pod.Name] = p
		}
		over := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if p.running || over && p.tried {
			continue
		}
		p.pod, p.running, p.tried, p.err = pod, true, true, nil
		t.running++
		due = append(due, p)
	}
	return due
}

// wait returns when it is time to list the pods again, or nothing can be read at all.
func (t *tail) wait(ctx context.Context) error {
	again := time.NewTimer(lookEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // asked to end
		case <-t.ended:
			if ctx.Err() != nil {
				return nil // which is why it has ended
			}
			if err := t.none(); err != nil {
				return err
			}
			again.Reset(lookAgain)
		case <-again.C:
			return nil
		}
	}
}

// none says why no log can be read, if none can be.
func (t *tail) none() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened || t.running > 0 {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.pods)) {
		errs = append(errs, t.pods[name].err)
	}
	return errors.Join(errs...)
}

// tellFailed warns of logs that cannot be read, once for each reason.
func (t *tail) tellFailed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(t.pods)) {
		p := t.pods[name]
		if p.err != nil && p.err.Error() != p.said {
			p.said = p.err.Error()
			t.hand.Warn("%v", p.err)
		}
	}
}

// read prints the log of a pod as it grows. The error is of who reads what is printed.
func (t *tail) read(ctx context.Context, p *tailed) error {
	lost, err := t.print(ctx, p)
	t.mu.Lock()
	p.running, p.err = false, err
	t.running--
	t.mu.Unlock()
	select {
	case t.ended <- struct{}{}:
	default:
	}
	return lost
}

// print prints the log of a pod until it ends. Lost is that nobody takes what is printed.
func (t *tail) print(ctx context.Context, p *tailed) (lost, err error) {
	options, from, asked := t.of(p)
	r, err := open(ctx, t.hand, p.pod, options)
	t.opens(p, asked, err)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	err = scan(r, func(text []byte) error {
		at, text := stamped(text)
		if !at.IsZero() && !at.After(from) {
			return nil // it was read before the log was opened anew
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if !at.IsZero() {
			p.last = at
		}
		if line, ok := t.line(text, t.within); ok {
			_, lost = fmt.Fprintln(t.hand.Out, line)
		}
		return lost
	})
	switch {
	case lost != nil:
		return lost, nil
	case err != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("reading the log of pod %s: %w", p.pod.Name, err)
	}
	return nil, nil
}

// of returns what is asked of a pod now, and the time up to which its lines were read.
func (t *tail) of(p *tailed) (o *corev1.PodLogOptions, from, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o, now = t.options.DeepCopy(), t.hand.Now()
	o.Timestamps = true
	switch {
	case !p.last.IsZero():
		since := metav1.NewTime(p.last) // to the second: what is of the same one comes again
		o.TailLines, o.SinceSeconds, o.SinceTime = nil, nil, &since
	case !p.empty.IsZero():
		seconds := int64(now.Sub(p.empty)/time.Second) + 1 // clocks may differ, but how long it was does not
		o.TailLines, o.SinceSeconds, o.SinceTime = nil, &seconds, nil
	case p.late:
		o.TailLines, o.SinceSeconds, o.SinceTime = nil, nil, nil
	}
	return o, p.last, now
}

// opens keeps what became of a log that was asked for.
func (t *tail) opens(p *tailed, asked time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.opened = true
	}
	if err == nil || apierrors.IsBadRequest(err) { // which is of what has not been started
		p.empty = asked
	}
}

// stamped takes apart when a line was written, and the line.
func stamped(text []byte) (time.Time, []byte) {
	stamp, rest, _ := bytes.Cut(text, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, text
	}
	return at, rest
}
