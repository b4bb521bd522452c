package imageupdateautomation

import (
	"context"
	"errors"
	"testing"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	var all turns
	first, err := all.take(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	other, err := all.take(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	other()

	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := all.take(ctx, "main"); !errors.Is(err, gone) {
		t.Errorf("who cannot wait gets %v; want %v", err, gone)
	}

	had := make(chan struct{})
	go func() {
		defer close(had)
		release, err := all.take(t.Context(), "main")
		if err != nil {
			t.Errorf("who waits gets %v", err)
			return
		}
		release()
	}()
	select {
	case <-had:
		t.Error("two had their turn at once")
	default:
	}
	first()
	<-had
	if len(all.waiting) != 0 {
		t.Errorf("%d branches are remembered; want none", len(all.waiting))
	}
}
