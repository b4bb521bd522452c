package helmrelease

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestSlotsGoToWhoComesBackFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if !s.take(t.Context(), beginning) {
			t.Fatal("the free slot is not given")
		}
		var order []string
		queue := func(who string, q int) {
			go func() {
				if s.take(t.Context(), q) {
					order = append(order, who)
					s.give()
				}
			}()
			synctest.Wait()
		}
		queue("new 1", beginning)
		queue("new 2", beginning)
		queue("back 1", returning)
		queue("back 2", returning)
		s.give()
		synctest.Wait()
		if d := cmp.Diff([]string{"back 1", "back 2", "new 1", "new 2"}, order); d != "" {
			t.Errorf("who worked after whom (-want +got):\n%s", d)
		}
	})
}

func TestSlotIsNotLostWithWhoGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		s.take(t.Context(), beginning)
		ctx, cancel := context.WithCancel(t.Context())
		var given bool
		go func() { given = s.take(ctx, beginning) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if given {
			t.Fatal("a slot was given while another held the only one")
		}
		s.give()
		if !s.take(t.Context(), returning) {
			t.Error("the slot went to who had given up")
		}
	})
}
