package verb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/strvals"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/helmvalues"
)

// view is one thing that debug shows of an object.
type view struct {
	flag, usage string
	show        func(ctx context.Context, h *hand, obj *unstructured.Unstructured) error
	wanted      bool
}

func newDebug(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "debug", Short: "Show what controllers know of an object, and what they make of it",
		Long: `Shows what controllers know of an object, and what they make of it. Variables and values
may come from Secrets, and are shown as they are.`,
		Example: `  weir debug kustomization apps --show-vars
  weir debug helmrelease podinfo --show-values`,
	}
	status := view{flag: "show-status", usage: "show the status", show: showStatus}
	history := view{flag: "show-history", usage: "show what was done before", show: showHistory}
	cmd.AddCommand(
		newDebugKind(s, "kustomization", status, view{flag: "show-vars", usage: "show the variables that are substituted", show: showVariables}, history),
		newDebugKind(s, "helmrelease", status, view{flag: "show-values", usage: "show the values that the chart gets, put together", show: showValues}, history),
	)
	choose(cmd)
	return cmd
}

// newDebugKind returns the command for objects of a kind.
func newDebugKind(s *session.Session, kind string, views ...view) *cobra.Command {
	k, _ := kinds.Find(kind)
	cmd := &cobra.Command{
		Use: kind + " NAME", Aliases: slices.DeleteFunc(slices.Clone(k.Names), func(n string) bool { return n == kind }),
		Short: "Show what a controller knows of a " + k.GVK.Kind, Args: oneName, ValidArgsFunction: completeNames(s, k),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := chosenView(cmd, views)
			if err != nil {
				return err
			}
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			h, err := newHand(s)
			if err != nil {
				return err
			}
			obj, err := h.find(ctx, k, h.key(args[0]), "debug")
			if err != nil {
				return err
			}
			return chosen.show(ctx, h, obj)
		},
	}
	bindViews(cmd.Flags(), views)
	return cmd
}

func bindViews(fs *pflag.FlagSet, views []view) {
	for i := range views {
		fs.BoolVar(&views[i].wanted, views[i].flag, false, views[i].usage)
	}
}

// chosenView returns the one thing that flags ask for.
func chosenView(cmd *cobra.Command, views []view) (view, error) {
	var chosen []view
	var flags []string
	for _, v := range views {
		flags = append(flags, "--"+v.flag)
		if v.wanted {
			chosen = append(chosen, v)
		}
	}
	if len(chosen) != 1 {
		return view{}, session.Hint(errors.New("one thing can be shown at a time"), "%s NAME with one of %s", cmd.CommandPath(), strings.Join(flags, ", "))
	}
	return chosen[0], nil
}

func showStatus(_ context.Context, h *hand, obj *unstructured.Unstructured) error {
	return h.printField(obj, "status")
}

func showHistory(_ context.Context, h *hand, obj *unstructured.Unstructured) error {
	return h.printField(obj, "status", "history")
}

// printField prints a field as YAML.
func (h *hand) printField(obj *unstructured.Unstructured, path ...string) error {
	value, found, err := unstructured.NestedFieldNoCopy(obj.Object, path...)
	switch {
	case err != nil:
		return err
	case !found:
		h.Warn("%s has no %s yet", name(obj), strings.Join(path, "."))
		return nil
	}
	data, err := yaml.Marshal(value)
	if err == nil {
		_, err = h.Out.Write(data)
	}
	return err
}

// showVariables prints the variables of a Kustomization, one a line.
func showVariables(ctx context.Context, h *hand, obj *unstructured.Unstructured) error {
	ks := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, ks); err != nil {
		return err
	}
	if ks.Spec.PostBuild == nil {
		h.Warn("%s has no spec.postBuild: nothing is substituted", name(obj))
		return nil
	}
	all, err := buildspec.Variables(ctx, h.client, ks)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ks.Spec.PostBuild.SubstituteFrom, func(r kustomizev1.SubstituteReference) bool { return r.Kind == secretKind }) {
		h.warnOfSecrets()
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if _, err := fmt.Fprintf(h.Out, "%s=%s\n", key, quotedLine(all[key])); err != nil {
			return err
		}
	}
	return nil
}

// showValues prints the values of a HelmRelease, put together as its controller does.
func showValues(ctx context.Context, h *hand, obj *unstructured.Unstructured) error {
	hr := &helmv2.HelmRelease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, hr); err != nil {
		return err
	}
	all, err := helmvalues.Compose(ctx,
		helmvalues.Spec{Namespace: hr.Namespace, From: hr.Spec.ValuesFrom, Inline: hr.Spec.Values}, h.client,
		helmvalues.Setter{Typed: strvals.ParseInto, Text: strvals.ParseIntoString})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(hr.Spec.ValuesFrom, func(r meta.ValuesReference) bool { return r.Kind == secretKind }) {
		h.warnOfSecrets()
	}
	data, err := yaml.Marshal(all)
	if err == nil {
		_, err = h.Out.Write(data)
	}
	return err
}

// secretKind is what references call a Secret.
const secretKind = "Secret"

// warnOfSecrets is told before what is printed because somebody asked for it.
func (h *hand) warnOfSecrets() { h.Warn("values of Secrets follow, as they are") }

// quotedLine returns a value as one line.
func quotedLine(value string) string {
	if strings.ContainsAny(value, "\n\r\"'#") || strings.TrimSpace(value) != value {
		return strconv.Quote(value)
	}
	return value
}
