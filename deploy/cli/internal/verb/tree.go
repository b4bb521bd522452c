package verb

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/pkg/health"
)

// tree shows what an object has applied.
type tree struct {
	*session.Session
	compact bool
	format  string
}

func newTree(s *session.Session) *cobra.Command {
	t := &tree{Session: s}
	cmd := &cobra.Command{
		Use: "tree", Short: "Show what a Kustomization or HelmRelease has applied, and how it is",
		Example: `  weir tree kustomization flux-system
  weir tree helmrelease podinfo --compact`,
	}
	flags := cmd.PersistentFlags()
	flags.BoolVar(&t.compact, "compact", false, "show Kustomizations, HelmReleases and sources only")
	flags.StringVarP(&t.format, "output", "o", "", "json or yaml")
	applies := func(k kinds.Kind) bool { return k.GVK.Kind == "Kustomization" || k.GVK.Kind == "HelmRelease" }
	perKind(s, cmd, only(applies), kinds.Kind.One, func(k kinds.Kind) *cobra.Command {
		return &cobra.Command{
			Use: "NAME", Short: "Show what a " + k.GVK.Kind + " has applied", Args: oneName,
			RunE: func(cmd *cobra.Command, args []string) error {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				if t.format != show.Text && t.format != show.JSON && t.format != show.YAML {
					return fmt.Errorf("there is no output format %q: take json or yaml", t.format)
				}
				h, err := newHand(s)
				if err != nil {
					return err
				}
				obj, err := h.find(ctx, k, h.key(args[0]), "tree")
				if err != nil {
					return err
				}
				root, err := owner.Cluster{Client: h.client, Mapper: h.reader.Mapper}.Tree(ctx, obj)
				if err != nil {
					return err
				}
				if t.compact {
					root.Children = compact(root.Children)
				}
				return t.print(root)
			},
		}
	})
	return cmd
}

// compact leaves out what has nothing to do with the kinds of this API.
func compact(nodes []*owner.Node) []*owner.Node {
	var left []*owner.Node
	for _, n := range nodes {
		if _, ours := kinds.Of(n.ID.GroupKind()); ours {
			n.Children = compact(n.Children)
			left = append(left, n)
		}
	}
	return left
}

// print shows a tree in the format that is asked for.
func (t *tree) print(root *owner.Node) error {
	switch t.format {
	case show.JSON:
		text, err := json.MarshalIndent(leafOf(root), "", "  ")
		if err == nil {
			_, err = fmt.Fprintln(t.Out, string(text))
		}
		return err
	case show.YAML:
		text, err := yaml.Marshal(leafOf(root))
		if err == nil {
			_, err = t.Out.Write(text)
		}
		return err
	}
	return t.branch(t.Out, root, "", "")
}

// leaf is an object of a tree as it is printed for programs.
type leaf struct {
	Resource struct {
		Namespace string `json:"Namespace"`
		Name      string `json:"Name"`
		GroupKind struct {
			Group string `json:"Group"`
			Kind  string `json:"Kind"`
		} `json:"GroupKind"`
	} `json:"resource"`
	Status    string `json:"status"`
	Message   string `json:"message,omitempty"`
	Resources []leaf `json:"resources,omitempty"`
}

func leafOf(n *owner.Node) leaf {
	out := leaf{Status: n.Status.String(), Message: n.Message}
	out.Resource.Namespace, out.Resource.Name = n.ID.Namespace, n.ID.Name
	out.Resource.GroupKind.Group, out.Resource.GroupKind.Kind = n.ID.Group, n.ID.Kind
	for _, c := range n.Children {
		out.Resources = append(out.Resources, leafOf(c))
	}
	return out
}

// branch draws an object and what is below it: lead is before the object, and below before
// what is below it.
func (t *tree) branch(w io.Writer, n *owner.Node, lead, below string) error {
	if _, err := fmt.Fprintf(w, "%s%s%s\n", lead, n.ID, t.health(n)); err != nil {
		return err
	}
	for i, c := range n.Children {
		here, further := "├── ", "│   "
		if i == len(n.Children)-1 {
			here, further = "└── ", "    "
		}
		if err := t.branch(w, c, below+here, below+further); err != nil {
			return err
		}
	}
	return nil
}

// health says how an object is, if it is not as it should be.
func (t *tree) health(n *owner.Node) string {
	if n.Status == health.Current {
		return ""
	}
	text := n.Status.String()
	if n.Message != "" {
		text += ": " + firstLine(n.Message)
	}
	if t.Colour {
		colour := show.Yellow
		if n.Status == health.Failed || n.Status == health.NotFound {
			colour = show.Red
		}
		text = colour + text + show.Plain
	}
	return "  " + text
}
