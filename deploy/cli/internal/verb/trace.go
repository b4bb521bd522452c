package verb

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
)

// trace shows where an object comes from.
type trace struct {
	*session.Session
	kind, apiVersion string
}

func newTrace(s *session.Session) *cobra.Command {
	t := &trace{Session: s}
	cmd := &cobra.Command{
		Use: "trace KIND/NAME", Short: "Show what has applied an object, and from which source", Args: cobra.RangeArgs(1, 2),
		Example: `  weir trace deployment/podinfo -n apps
  weir trace pod podinfo-5f8c -n apps
  weir trace redis --kind HelmRelease --api-version helm.toolkit.fluxcd.io/v2 -n apps`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			obj, err := t.object(args)
			if err != nil {
				return err
			}
			return t.run(ctx, obj)
		},
	}
	cmd.Flags().StringVar(&t.kind, "kind", "", "kind of the object, if it is not in the argument")
	cmd.Flags().StringVar(&t.apiVersion, "api-version", "", "API version of the object, if its kind is not clear without")
	return cmd
}

// object reads the object that arguments and flags name.
func (t *trace) object(args []string) (*unstructured.Unstructured, error) {
	if t.kind != "" {
		kind := t.kind
		if group, version, ok := strings.Cut(t.apiVersion, "/"); ok {
			kind += "." + version + "." + group
		}
		args = []string{kind, args[0]}
	}
	return named(t.Session, args, "weir trace KIND/NAME")
}

// named reads the object that arguments name as those of kubectl do. The usage is told if they
// name none.
func named(s *session.Session, args []string, usage string) (*unstructured.Unstructured, error) {
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		return nil, session.Hint(fmt.Errorf("%q has no kind", args[0]), "%s", usage)
	}
	infos, err := resource.NewBuilder(s.Getter()).Unstructured().
		NamespaceParam(s.Namespace()).DefaultNamespace().
		ResourceTypeOrNameArgs(false, args...).
		SingleResourceType().Latest().Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	if len(infos) != 1 {
		return nil, session.Hint(fmt.Errorf("%d objects are named, and one is needed", len(infos)), "%s", usage)
	}
	obj, ok := infos[0].Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s is a %T", strings.Join(args, "/"), infos[0].Object)
	}
	return obj, nil
}

// run prints the object and all that it comes from.
func (t *trace) run(ctx context.Context, obj *unstructured.Unstructured) error {
	h, err := newHand(t.Session)
	if err != nil {
		return err
	}
	chain, err := owner.Cluster{Client: h.client, Mapper: h.reader.Mapper}.Chain(ctx, obj)
	if err != nil {
		return err
	}
	named := obj.GetKind() + "/" + obj.GetName()
	if len(chain) == 0 {
		return session.Hint(fmt.Errorf("%s comes from no source: no label and no owner says what has applied it", named), "see what is applied: weir get kustomizations -A")
	}
	var out strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%-14s %s\n", name+":", value)
		}
	}
	field("Object", named)
	field("Namespace", obj.GetNamespace())
	field("Status", "Managed by weir")
	for _, link := range chain {
		out.WriteString("---\n")
		field(link.ID.Kind, link.ID.Name)
		field("Namespace", link.ID.Namespace)
		if err := describe(link, field); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(t.Out, out.String())
	return err
}

// describe prints what there is to know of a link.
func describe(link owner.Link, field func(name, value string)) error {
	switch {
	case link.Err != nil:
		field("Status", "It may not be read: "+link.Err.Error())
		return nil
	case link.Object == nil:
		field("Status", "It does not exist")
		return nil
	}
	if _, ours := kinds.Of(link.ID.GroupKind()); !ours {
		return nil
	}
	o, err := kinds.Read(link.Object)
	if err != nil {
		return err
	}
	field("Path", o.Spec.Path)
	field("URL", o.Spec.URL)
	field("Chart", o.Spec.Chart.Name)
	field("Revision", kinds.Revision(o))
	switch state, message := kinds.Ready(o); {
	case o.Spec.Suspend:
		field("Status", "Suspended")
	case message != "":
		field("Status", firstLine(message))
	default:
		field("Status", state)
	}
	return nil
}
