package verb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
)

// What versions are listed as, beside the controllers.
const (
	command      = "weir" // this program
	alias        = "flux" // it, for programs
	distribution = "distribution"
)

func newVersion(s *session.Session) *cobra.Command {
	var clientOnly bool
	var format string
	cmd := &cobra.Command{
		Use: "version", Short: "Show the versions of this command and of the controllers", Args: cobra.NoArgs,
		Long: `Shows the versions of this command, of what is installed and of each controller. As JSON and
YAML, that of this command is there as flux, too, which is what scripts look for.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			versions := map[string]string{command: install.Version}
			if !clientOnly {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				if err := addLive(ctx, s, versions); err != nil {
					return err
				}
			}
			return printVersions(s.Out, format, versions)
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only that of this command; needs no cluster")
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml")
	return cmd
}

// manager is the container of a controller.
const manager = "manager"

// addLive adds the versions of what is installed.
func addLive(ctx context.Context, s *session.Session, versions map[string]string) error {
	c, err := s.Client()
	if err != nil {
		return session.Hint(session.Explain(err), "only that of this command: weir version --client")
	}
	var list appsv1.DeploymentList
	if err := c.List(ctx, &list, client.InNamespace(s.Namespace()), client.MatchingLabels{install.LabelPartOf: install.PartOf}); err != nil {
		return fmt.Errorf("listing the controllers: %w", err)
	}
	maps.Copy(versions, controllerVersions(list.Items))
	if len(list.Items) == 0 {
		s.Warn("there are no controllers in namespace %q", s.Namespace())
		return nil
	}
	versions[distribution] = distributed(list.Items)
	return nil
}

// distributed names what Deployments are of, as their labels have it.
func distributed(all []appsv1.Deployment) string {
	for _, d := range all {
		if version := d.Labels[install.LabelVersion]; version != "" {
			return install.PartOf + "-" + version
		}
	}
	return "unknown"
}

// controllerVersions returns the tags of the images of controllers.
func controllerVersions(all []appsv1.Deployment) map[string]string {
	versions := make(map[string]string)
	for _, d := range all {
		for _, c := range d.Spec.Template.Spec.Containers {
			if c.Name == manager {
				versions[d.Name] = imageVersion(c.Image)
			}
		}
	}
	return versions
}

// imageVersion returns the tag of an image, or the digest where it has none.
func imageVersion(image string) string {
	name, digest, _ := strings.Cut(image, "@")
	if _, tag, ok := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":"); ok {
		return tag
	}
	if digest != "" {
		return digest
	}
	return "latest"
}

// printVersions prints this command and the distribution first, then controllers by name.
func printVersions(w io.Writer, format string, versions map[string]string) error {
	var data []byte
	var err error
	switch format {
	case "json":
		versions[alias] = versions[command]
		data, err = json.MarshalIndent(versions, "", "  ")
		data = append(data, '\n')
	case "yaml":
		versions[alias] = versions[command]
		data, err = yaml.Marshal(versions)
	case "":
		for _, name := range slices.SortedFunc(maps.Keys(versions), func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) }) {
			data = fmt.Appendf(data, "%s: %s\n", name, versions[name])
		}
	default:
		return fmt.Errorf("there is no output format %q: take json or yaml", format)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// place is where a version is listed.
func place(name string) int {
	switch name {
	case command:
		return 0
	case distribution:
		return 1
	}
	return 2
}
