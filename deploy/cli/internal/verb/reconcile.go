package verb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

// manual is the field manager of what people ask for by this command.
const manual = client.FieldOwner("weir")

// reconcile asks controllers for a run, now.
type reconcile struct {
	withSource bool
	force      bool
	reset      bool
}

func newReconcile(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "reconcile", Short: "Ask for a run now, and wait for what comes of it",
		Example: `  weir reconcile kustomization apps --with-source
  weir reconcile helmrelease podinfo --force
  weir reconcile source git flux-system`,
	}
	can := func(k kinds.Kind) bool {
		return k.Family != kinds.Artifacts && k.GVK.Kind != sourcev1.ExternalArtifactKind
	}
	perKind(s, cmd, only(can), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		r := &reconcile{}
		one := &cobra.Command{
			Use: "NAME", Short: "Reconcile a " + k.GVK.Kind, Args: oneName,
			RunE: func(cmd *cobra.Command, args []string) error {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				h, err := newHand(s)
				if err != nil {
					return err
				}
				obj, err := h.find(ctx, k, h.key(args[0]), "reconcile")
				if err != nil {
					return err
				}
				return r.run(ctx, h, obj)
			},
		}
		switch k.GVK.Kind {
		case kustomizev1.KustomizationKind, helmv2.HelmReleaseKind, sourcev1.HelmChartKind:
			one.Flags().BoolVar(&r.withSource, "with-source", false, "reconcile the source first")
		}
		if k.GVK.Kind == helmv2.HelmReleaseKind {
			one.Flags().BoolVar(&r.force, "force", false, "install or upgrade once, even if nothing has changed")
			one.Flags().BoolVar(&r.reset, "reset", false, "forget how often it failed, so that it is tried again")
		}
		return one
	})
	return cmd
}

// only returns the kinds that a verb is for.
func only(can func(kinds.Kind) bool) []kinds.Kind {
	return slices.DeleteFunc(kinds.All(), func(k kinds.Kind) bool { return !can(k) })
}

// run reconciles an object, after what it reads from if that is asked for.
func (r *reconcile) run(ctx context.Context, h *hand, obj *unstructured.Unstructured) error {
	if err := checkSuspended(obj); err != nil {
		return err
	}
	var source kinds.Object
	if r.withSource {
		var err error
		if source, err = reconcileSources(ctx, h, obj); err != nil {
			return err
		}
	}
	var more []string
	if r.force {
		more = append(more, helmv2.ForceRequestAnnotation)
	}
	if r.reset {
		more = append(more, helmv2.ResetRequestAnnotation)
	}
	_, err := reconcileOne(ctx, h, obj, source, more...)
	return err
}

// reconcileSources reconciles what obj reads from, and returns the nearest of that as it is
// then.
func reconcileSources(ctx context.Context, h *hand, obj *unstructured.Unstructured) (nearest kinds.Object, _ error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return nearest, err
	}
	for _, ref := range sources(o) {
		k, known := kinds.Of(schema.GroupKind{Group: sourcev1.GroupVersion.Group, Kind: ref.Kind})
		if !known {
			return nearest, fmt.Errorf("%s reads from a %s, which is no source", name(obj), ref.Kind)
		}
		source, err := h.find(ctx, k, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, "get")
		if err != nil {
			return nearest, fmt.Errorf("the source of %s: %w", name(obj), err)
		}
		if k.Static { // it changes by somebody else only
			continue
		}
		if err := checkSuspended(source); err != nil {
			return nearest, err
		}
		if o.Spec.ChartRef != nil && ref.Kind == sourcev1.HelmChartKind { // which is from a repository itself
			if nearest, err = reconcileSources(ctx, h, source); err != nil {
				return nearest, err
			}
		}
		if nearest, err = reconcileOne(ctx, h, source, nearest); err != nil {
			return nearest, err
		}
	}
	return nearest, nil
}

// sources returns what an object reads from, in the order in which it gets there: a
// release from a chart, which is from a repository.
func sources(o kinds.Object) []kinds.Reference {
	ref, ok := o.Source()
	if !ok {
		return nil
	}
	all := []kinds.Reference{ref}
	if namespace, name, found := strings.Cut(o.Status.HelmChart, "/"); found && o.Spec.ChartRef == nil {
		all = append(all, kinds.Reference{Kind: sourcev1.HelmChartKind, Namespace: namespace, Name: name})
	}
	return all
}

// reconcileOne asks for a run of an object, waits until it is over, and returns the object as
// it is then. What a source has, that was reconciled before, is taken up by then.
func reconcileOne(ctx context.Context, h *hand, obj *unstructured.Unstructured, source kinds.Object, annotations ...string) (kinds.Object, error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return o, err
	}
	if kinds.IsStatic(o) {
		h.Done("%s is data: there is nothing to reconcile", name(obj))
		return o, nil
	}
	upToDate := func(obj *unstructured.Unstructured) bool {
		o, err := kinds.Read(obj)
		return err != nil || o.HasTakenUp(source)
	}
	h.Say("asking for a run of %s", name(obj))
	done, err := ask(ctx, h, obj, upToDate, annotations)
	if err != nil && ctx.Err() == nil && done != nil && !upToDate(done) {
		// What failed may be what was before: its controller has heard of the new revision since.
		done, err = ask(ctx, h, obj, upToDate, nil)
	}
	if err != nil {
		return o, err
	}
	if err := h.result(done); err != nil {
		return o, err
	}
	return kinds.Read(done)
}

// ask asks for a run and waits until it is over.
func ask(ctx context.Context, h *hand, obj *unstructured.Unstructured, upToDate func(*unstructured.Unstructured) bool, annotations []string) (*unstructured.Unstructured, error) {
	token := h.Now().Format(time.RFC3339Nano)
	if err := annotate(ctx, h.client, obj, token, append(annotations, meta.ReconcileRequestAnnotation)...); err != nil {
		return nil, err
	}
	h.Waiting("waiting for its controller")
	done, err := h.wait(ctx, obj, await.HandledUpTo(token, upToDate))
	if err != nil {
		return done, failure(obj, err)
	}
	return done, nil
}

// annotate sets annotations to a value.
func annotate(ctx context.Context, c client.Client, obj client.Object, value string, keys ...string) error {
	values := make(map[string]string)
	for _, k := range keys {
		values[k] = value
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": values}})
	if err != nil {
		return err
	}
	return c.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), manual)
}

// failure is the error about an object that did not become as it was wanted.
func failure(obj client.Object, err error) error {
	err = fmt.Errorf("%s reconciliation failed: %w", obj.GetObjectKind().GroupVersionKind().Kind, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return session.Hint(err, "is its controller running? weir check; what it did: weir events --for %s/%s -n %s", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName(), obj.GetNamespace())
	}
	return session.Hint(err, "what led to it: weir events --for %s/%s -n %s", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName(), obj.GetNamespace())
}

// checkSuspended refuses an object that is suspended: its controller would not act.
func checkSuspended(obj *unstructured.Unstructured) error {
	if suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); !suspended {
		return nil
	}
	k, _ := kinds.Of(obj.GroupVersionKind().GroupKind())
	return session.Hint(fmt.Errorf("%s: resource is suspended", name(obj)), "weir resume %s %s -n %s", k.Words(), obj.GetName(), obj.GetNamespace())
}
