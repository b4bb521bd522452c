package imageupdateautomation

import (
	"context"
	"sync"
)

// turns let those who push to one branch do so one after the other. The zero value is
// ready.
type turns struct {
	mu      sync.Mutex
	waiting map[string]*turn
}

// turn is of one branch.
type turn struct {
	free chan struct{} // has one element while nobody has the turn
	used int           // by who has it, and who waits
}

// take waits until it is the caller's turn, who ends it with release.
func (t *turns) take(ctx context.Context, branch string) (release func(), err error) {
	own := t.join(branch)
	select {
	case <-own.free:
		return func() { own.free <- struct{}{}; t.leave(branch, own) }, nil
	case <-ctx.Done():
		t.leave(branch, own)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) join(branch string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own, ok := t.waiting[branch]
	if !ok {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		if t.waiting == nil {
			t.waiting = make(map[string]*turn)
		}
		t.waiting[branch] = own
	}
	own.used++
	return own
}

func (t *turns) leave(branch string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.used--; own.used == 0 {
		delete(t.waiting, branch)
	}
}

// waitForTurn waits until nobody else of this process pushes to the same branch.
func (r *Reconciler) waitForTurn(ctx context.Context, s *scope) error {
	var err error
	s.release, err = r.turns.take(ctx, s.remote.String()+" "+s.branch)
	return err
}
