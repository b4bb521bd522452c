package verb

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

// waitsAtOnce is for how many objects is waited at the same time.
const waitsAtOnce = 100

// resume has controllers go on with objects.
type resume struct {
	all bool
	// oneByOne waits for each before the next is resumed.
	oneByOne bool
	// speaking is held while something is said of an object: many may be waited for.
	speaking sync.Mutex
}

func newResume(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume", Short: "Have controllers go on with suspended objects, and wait until they are ready",
		Example: `  weir resume kustomization apps
  weir resume helmrelease --all --wait -n prod`,
	}
	perKind(s, cmd, only(suspendable), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		r := &resume{}
		one := &cobra.Command{
			Use: "[NAME…]", Short: "Resume " + k.GVK.Kind + " objects", Args: namesOrAll(&r.all),
			RunE: func(cmd *cobra.Command, args []string) error {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				h, err := newHand(s)
				if err != nil {
					return err
				}
				chosen, err := h.chosen(ctx, k, args, r.all, "resume")
				if err != nil {
					return err
				}
				return r.run(ctx, h, chosen)
			},
		}
		one.Flags().BoolVar(&r.all, "all", false, "all of the namespace")
		one.Flags().BoolVar(&r.oneByOne, "wait", false, "wait for each before the next is resumed")
		return one
	})
	return cmd
}

// run resumes objects and waits for all, whatever becomes of one of them.
func (r *resume) run(ctx context.Context, h *hand, chosen []*unstructured.Unstructured) error {
	var errs []error
	each := r.oneByOne || len(chosen) == 1
	for _, obj := range chosen {
		if ctx.Err() != nil { // the one before took all of the time
			errs = append(errs, fmt.Errorf("%s was not resumed: %w", name(obj), context.Cause(ctx)))
			continue
		}
		if err := setSuspend(ctx, h.client, obj, false); err != nil {
			return errors.Join(append(errs, err)...)
		}
		h.Say("%s is resumed", name(obj))
		if each {
			errs = append(errs, r.resumed(ctx, h, obj, ""))
		}
	}
	if each || len(errs) > 0 || len(chosen) == 0 {
		return errors.Join(errs...)
	}
	return r.allResumed(ctx, h, chosen)
}

// allResumed waits for objects at the same time: one that never gets ready does not take the
// time of others.
func (r *resume) allResumed(ctx context.Context, h *hand, chosen []*unstructured.Unstructured) error {
	h.Waiting("waiting until all %d are ready", len(chosen))
	errs := make([]error, len(chosen))
	var g errgroup.Group
	g.SetLimit(waitsAtOnce)
	for i, obj := range chosen {
		g.Go(func() error {
			if ctx.Err() != nil {
				errs[i] = fmt.Errorf("%s was not looked at: %w", name(obj), context.Cause(ctx))
			} else if err := r.resumed(ctx, h, obj, name(obj)+": "); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name(obj), err)
			}
			return nil // of one, which does not end the others
		})
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}

// resumed waits until an object is ready again. Where others are waited for, too, about says
// which one it is.
func (r *resume) resumed(ctx context.Context, h *hand, obj *unstructured.Unstructured, about string) error {
	o, err := kinds.Read(obj)
	if err != nil || kinds.IsStatic(o) {
		return err
	}
	tell := func(say func(string, ...any), text string) {
		r.speaking.Lock()
		defer r.speaking.Unlock()
		say("%s%s", about, text)
	}
	if about == "" {
		tell(h.Waiting, "waiting until it is ready")
	}
	done, err := await.For(ctx, h.client, await.Of(obj), await.Ready, func(why string) { tell(h.Waiting, firstLine(why)) })
	if err != nil {
		return failure(obj, err)
	}
	if o, err = kinds.Read(done); err != nil {
		return err
	}
	tell(h.Done, outcome(o))
	return nil
}
