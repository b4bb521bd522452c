package verb

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

func newDelete(s *session.Session) *cobra.Command {
	var silent bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete objects, and with them what they brought into the cluster",
		Example: `  weir delete kustomization apps
  weir delete source git podinfo --silent`,
	}
	cmd.PersistentFlags().BoolVarP(&silent, "silent", "s", false, "ask nothing")
	perKind(s, cmd, kinds.All(), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		return &cobra.Command{
			Use: "NAME", Short: "Delete a " + k.GVK.Kind, Args: oneName,
			RunE: func(cmd *cobra.Command, args []string) error { return remove(cmd.Context(), s, k, args[0], silent) },
		}
	})
	return cmd
}

func remove(ctx context.Context, s *session.Session, k kinds.Kind, which string, silent bool) error {
	h, err := newHand(s)
	if err != nil {
		return err
	}
	finding, found := s.Context(ctx)
	defer found()
	obj, err := h.find(finding, k, h.key(which), "delete")
	if err != nil {
		return err
	}
	if more := goesToo(obj); more != "" {
		s.Warn("%s", more)
	}
	if !silent {
		if err := s.Confirm(ctx, "Delete "+name(obj)+"?", "without a question: --silent"); err != nil {
			return err
		}
	}
	ctx, cancel := s.Context(ctx)
	defer cancel()
	if err := h.client.Delete(ctx, obj); err != nil {
		return fmt.Errorf("deleting %s: %w", name(obj), err)
	}
	s.Done("%s is deleted", name(obj))
	return nil
}

// goesToo says what goes from the cluster with an object: "" if nothing does.
func goesToo(obj *unstructured.Unstructured) string {
	entries, _, _ := unstructured.NestedSlice(obj.Object, "status", "inventory", "entries")
	suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend")
	switch {
	case suspended && (obj.GetKind() == kustomizev1.KustomizationKind || obj.GetKind() == helmv2.HelmReleaseKind):
		return "it is suspended: what it brought into the cluster stays"
	case obj.GetKind() == helmv2.HelmReleaseKind:
		return "its release is uninstalled"
	case obj.GetKind() != kustomizev1.KustomizationKind:
		return ""
	}
	prune, _, _ := unstructured.NestedBool(obj.Object, "spec", "prune")
	policy, _, _ := unstructured.NestedString(obj.Object, "spec", "deletionPolicy")
	if policy == "Orphan" || !prune && policy != "Delete" && policy != "WaitForTermination" {
		return fmt.Sprintf("what it applied stays in the cluster: %s", number(len(entries), "object"))
	}
	return fmt.Sprintf("what it applied is deleted, too: %s", number(len(entries), "object"))
}

// number counts things: 1 object, 2 objects.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
