package verb

import (
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

// command is what the version of this program is listed as.
const command = "weir"

func newVersion(s *session.Session) *cobra.Command {
	var clientOnly bool
	var format string
	cmd := &cobra.Command{
		Use: "version", Short: "Show the versions of this command and of the controllers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			versions := map[string]string{command: install.Version}
			if !clientOnly {
				ctx, cancel := s.Context(cmd.Context())
				defer cancel()
				c, err := s.Client()
				if err != nil {
					return session.Hint(session.Explain(err), "only that of this command: weir version --client")
				}
				var list appsv1.DeploymentList
				if err := c.List(ctx, &list, client.InNamespace(s.Namespace()), client.MatchingLabels{partOf: partOfFlux}); err != nil {
					return fmt.Errorf("listing the controllers: %w", err)
				}
				maps.Copy(versions, controllerVersions(list.Items))
				if len(list.Items) == 0 {
					s.Warn("there are no controllers in namespace %q", s.Namespace())
				}
			}
			return printVersions(s.Out, format, versions)
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only that of this command; needs no cluster")
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml")
	return cmd
}

const (
	partOf     = "app.kubernetes.io/part-of"
	partOfFlux = "flux"
	// manager is the container of a controller.
	manager = "manager"
)

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

// printVersions prints this command first, then controllers by name.
func printVersions(w io.Writer, format string, versions map[string]string) error {
	switch format {
	case "json":
		data, err := json.MarshalIndent(versions, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", data)
		return err
	case "yaml":
		data, err := yaml.Marshal(versions)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	case "":
		fmt.Fprintf(w, "%s: %s\n", command, versions[command])
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			if name != command {
				fmt.Fprintf(w, "%s: %s\n", name, versions[name])
			}
		}
		return nil
	default:
		return fmt.Errorf("there is no output format %q: take json or yaml", format)
	}
}
