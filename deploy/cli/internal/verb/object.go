package verb

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/session"
)

// hand is what verbs that act on objects have in it.
type hand struct {
	*session.Session
	client client.WithWatch
	reader objects.Reader
}

// newHand connects.
func newHand(s *session.Session) (*hand, error) {
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	reader, err := newReader(s)
	return &hand{Session: s, client: c, reader: reader}, err
}

// find reads an object.
func (h *hand) find(ctx context.Context, k kinds.Kind, key types.NamespacedName, verb string) (*unstructured.Unstructured, error) {
	mapping, err := h.reader.Mapping(k)
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(mapping.GroupVersionKind)
	err = h.client.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) {
		return nil, notFound(ctx, h.Session, h.reader, objects.Query{Kind: k, Namespace: key.Namespace, Name: key.Name}, verb)
	}
	return obj, err
}

// key names an object in the namespace of the session.
func (h *hand) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: h.Namespace(), Name: name}
}

// chosen returns the objects of a kind that a verb acts on: those of the names, or all of
// the namespace.
func (h *hand) chosen(ctx context.Context, k kinds.Kind, names []string, all bool, verb string) ([]*unstructured.Unstructured, error) {
	if all {
		found, err := h.reader.Whole(ctx, objects.Query{Kind: k, Namespace: h.Namespace()})
		if err == nil && len(found) == 0 {
			h.Fail("no %s objects found in namespace %q", k, h.Namespace())
		}
		return found, err
	}
	var found []*unstructured.Unstructured
	for _, name := range names {
		obj, err := h.find(ctx, k, h.key(name), verb)
		if err != nil {
			return nil, err
		}
		found = append(found, obj)
	}
	return found, nil
}

// namesOrAll accepts either names or --all.
func namesOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return fmt.Errorf("names and --all exclude each other")
		case !*all && len(args) == 0:
			return session.Hint(fmt.Errorf("a name is missing"), "%s NAME, or %s --all", cmd.CommandPath(), cmd.CommandPath())
		}
		return nil
	}
}

// oneName accepts a name.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return session.Hint(fmt.Errorf("one name is needed, and %d were given", len(args)), "%s NAME", cmd.CommandPath())
	}
	return nil
}

// name names an object for people.
func name(obj client.Object) string {
	return fmt.Sprintf("%s %s in namespace %s", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName(), obj.GetNamespace())
}

// wait waits until an object is as it is wanted, and says meanwhile what is missing.
func (h *hand) wait(ctx context.Context, obj *unstructured.Unstructured, ok await.Condition) (*unstructured.Unstructured, error) {
	return await.For(ctx, h.client, await.Of(obj), ok, func(why string) { h.Waiting("%s", firstLine(why)) })
}

// firstLine leaves what fits where one line is expected.
func firstLine(text string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(text), "\n")
	if more && rest != "" {
		return line + " …"
	}
	return line
}

// result says what a controller made of an object.
func (h *hand) result(obj *unstructured.Unstructured) error {
	o, err := kinds.Read(obj)
	if err != nil {
		return err
	}
	h.Done("%s", outcome(o))
	return nil
}

// outcome says what a good run led to.
func outcome(o kinds.Object) string {
	revision := kinds.Revision(o)
	switch k, _ := kinds.Of(o.GroupKind()); {
	case o.Kind == "Kustomization":
		return "applied revision " + revision
	case o.Kind == "HelmRelease":
		return "released version " + revision
	case k.Family == kinds.Sources && revision != "":
		return "fetched revision " + revision
	case o.Kind == "ImagePolicy" && o.Status.LatestRef != nil:
		return "selected " + o.Status.LatestRef.Name + ":" + o.Status.LatestRef.Tag
	case o.Kind == "ImageRepository" && o.Status.LastScanResult != nil:
		return fmt.Sprintf("found %d tags", o.Status.LastScanResult.TagCount)
	}
	if _, message := kinds.Ready(o); message != "" {
		return firstLine(message)
	}
	return "done"
}
