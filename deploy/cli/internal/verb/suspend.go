package verb

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

func newSuspend(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "suspend", Short: "Have controllers leave objects as they are",
		Example: `  weir suspend kustomization apps infrastructure
  weir suspend helmrelease --all -n prod`,
	}
	perKind(s, cmd, only(suspendable), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		var all bool
		one := &cobra.Command{
			Use: "[NAME…]", Short: "Suspend " + k.GVK.Kind + " objects", Args: namesOrAll(&all),
			RunE: func(cmd *cobra.Command, args []string) error {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				return suspend(ctx, s, k, args, all)
			},
		}
		one.Flags().BoolVar(&all, "all", false, "all of the namespace")
		return one
	})
	return cmd
}

// suspendable reports whether a kind can be suspended.
func suspendable(k kinds.Kind) bool {
	return !k.NoSuspend && k.GVK.Kind != "Provider"
}

func suspend(ctx context.Context, s *session.Session, k kinds.Kind, names []string, all bool) error {
	h, err := newHand(s)
	if err != nil {
		return err
	}
	chosen, err := h.chosen(ctx, k, names, all, "suspend")
	if err != nil {
		return err
	}
	for _, obj := range chosen {
		if err := setSuspend(ctx, h.client, obj, true); err != nil {
			return err
		}
		h.Done("%s is suspended", name(obj))
	}
	return nil
}

// setSuspend writes spec.suspend.
func setSuspend(ctx context.Context, c client.Client, obj *unstructured.Unstructured, suspend bool) error {
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspend)
	if err := c.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), manual); err != nil {
		return fmt.Errorf("%s: %w", name(obj), err)
	}
	return nil
}
