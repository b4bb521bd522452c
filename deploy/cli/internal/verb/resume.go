package verb

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

// resume has controllers go on with objects.
type resume struct {
	all bool
	// oneByOne waits for each before the next is resumed.
	oneByOne bool
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
	for _, obj := range chosen {
		if err := setSuspend(ctx, h.client, obj, false); err != nil {
			return errors.Join(append(errs, err)...)
		}
		h.Say("%s is resumed", name(obj))
		if r.oneByOne {
			errs = append(errs, resumed(ctx, h, obj))
		}
	}
	if !r.oneByOne {
		for _, obj := range chosen {
			errs = append(errs, resumed(ctx, h, obj))
		}
	}
	return errors.Join(errs...)
}

// resumed waits until an object is ready again.
func resumed(ctx context.Context, h *hand, obj *unstructured.Unstructured) error {
	o, err := kinds.Read(obj)
	if err != nil || kinds.IsStatic(o) {
		return err
	}
	h.Waiting("waiting until it is ready")
	done, err := h.wait(ctx, obj, await.Ready)
	if err != nil {
		return failure(obj, err)
	}
	return h.result(done)
}
