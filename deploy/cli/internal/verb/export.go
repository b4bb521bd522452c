package verb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

func newExport(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Print objects as manifests, for Git",
		Example: `  weir export kustomization apps > apps.yaml
  weir export source git --all`,
	}
	perKind(s, cmd, kinds.All(), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		var all, credentials bool
		one := &cobra.Command{
			Use: "[NAME]", Short: "Print " + k.GVK.Kind + " objects as manifests", Args: namesOrAll(&all),
			RunE: func(cmd *cobra.Command, args []string) error {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				if credentials {
					return session.Hint(errors.New("credentials are not exported: what lets somebody in does not belong into Git as it is"),
						"encrypt the Secret that spec.secretRef names: kubectl -n %s get secret NAME -o yaml", s.Namespace())
				}
				return export(ctx, s, k, args, all)
			},
		}
		one.Flags().BoolVar(&all, "all", false, "all of the namespace")
		if k.Family == kinds.Sources {
			one.Flags().BoolVar(&credentials, "with-credentials", false, "refused: Secrets are not exported")
		}
		return one
	})
	return cmd
}

func export(ctx context.Context, s *session.Session, k kinds.Kind, names []string, all bool) error {
	h, err := newHand(s)
	if err != nil {
		return err
	}
	chosen, err := h.chosen(ctx, k, names, all, "export")
	if err != nil {
		return err
	}
	for _, obj := range chosen {
		data, err := yaml.Marshal(forGit(obj).Object)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "---\n%s", data)
	}
	return nil
}

// passing are labels and annotations that somebody wrote into the live
// object, and that do not belong into Git.
var passing = []string{
	"kubectl.kubernetes.io/last-applied-configuration",
	"reconcile.fluxcd.io/requestedAt", "reconcile.fluxcd.io/forceAt", "reconcile.fluxcd.io/resetAt",
	"kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace",
	"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
}

// forGit returns of an object what somebody wants it to be.
func forGit(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetAPIVersion(obj.GetAPIVersion())
	out.SetKind(obj.GetKind())
	out.SetName(obj.GetName())
	out.SetNamespace(obj.GetNamespace())
	out.SetLabels(lasting(obj.GetLabels()))
	out.SetAnnotations(lasting(obj.GetAnnotations()))
	if spec, ok := obj.Object["spec"]; ok {
		out.Object["spec"] = spec
	}
	return out
}

// lasting returns what belongs into Git: nil if nothing does.
func lasting(all map[string]string) map[string]string {
	var out map[string]string
	for k, v := range all {
		if slices.Contains(passing, k) {
			continue
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[k] = v
	}
	return out
}
