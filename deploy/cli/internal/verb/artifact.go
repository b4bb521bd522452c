package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/artifact"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/oci"
)

// piped is the value of a flag that means what is piped in.
const piped = "-"

// registryFlags say how a registry is reached.
type registryFlags struct {
	credentials, provider string
	insecure              bool
}

func (r *registryFlags) bind(fs *pflag.FlagSet) {
	fs.StringVar(&r.credentials, "creds", "", "USER:PASSWORD or a token for the registry, by default as you are logged in for Docker; better - to read it")
	fs.StringVar(&r.provider, "provider", "generic", "how to log in: generic")
	fs.BoolVar(&r.insecure, "insecure-registry", false, "talk to the registry by http")
}

// open returns the registry.
func (r *registryFlags) open(ctx context.Context, s *session.Session) (*artifact.Registry, error) {
	switch r.provider {
	case "generic":
	case "aws", "azure", "gcp":
		return nil, session.Hint(fmt.Errorf("--provider=%s is not supported", r.provider), "log in to the registry for Docker by the command of the cloud, and leave the flag out")
	default:
		return nil, oneOf("provider", r.provider, "generic")
	}
	credentials, err := s.Given(ctx, r.credentials, "", "user and password")
	return artifact.New(artifact.Access{Insecure: r.insecure, Credentials: credentials}), err
}

// contentFlags say what an artifact is made of.
type contentFlags struct {
	path   string
	ignore []string
	follow bool
}

func (f *contentFlags) bind(fs *pflag.FlagSet, short string) {
	fs.StringVarP(&f.path, "path", short, "", "folder or file that the artifact is made of, or - to read it")
	fs.StringSliceVar(&f.ignore, "ignore-paths", artifact.IgnoredByDefault(), "what to leave out, in the format of .gitignore")
	fs.BoolVar(&f.follow, "resolve-symlinks", false, "take the files that symbolic links lead to; without it links are left out")
}

// content returns what the flags say; other is a flag that may read the same pipe.
func (f *contentFlags) content(s *session.Session, other string) (artifact.Content, error) {
	out := artifact.Content{Path: f.path, Ignore: f.ignore, Follow: f.follow, Omitted: func(path string) {
		s.Warn("the symbolic link %s is left out: --resolve-symlinks takes what it leads to", path)
	}}
	switch f.path {
	case "":
		return out, session.Hint(errors.New("nothing says what the artifact is made of"), "name a folder: --path FOLDER, or --path - for what is piped in")
	case piped:
		if out.Stdin = s.In; s.In == nil {
			return out, errors.New("nothing is piped in")
		}
		if other == piped {
			return out, errors.New("--path and --creds cannot both be what is piped in")
		}
	}
	return out, nil
}

// oneURL accepts the URL of an artifact.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return session.Hint(fmt.Errorf("one URL is needed, and %d were given", len(args)), "%s oci://HOST/REPOSITORY:TAG", cmd.CommandPath())
	}
	return nil
}

// aboutRegistry returns an error with what to do about it.
func aboutRegistry(err error) error {
	switch {
	case errors.Is(err, oci.ErrUnauthorized):
		return session.Hint(err, "log in to the registry for Docker, or pipe USER:PASSWORD into --creds -")
	case errors.Is(err, artifact.ErrURL):
		return session.Hint(err, "for example oci://registry.example.com/manifests/podinfo:latest")
	case errors.Is(err, oci.ErrNotFound):
		return session.Hint(err, "see which there are: weir list artifacts oci://HOST/REPOSITORY")
	}
	return err
}

// artifactCommand returns a command about the artifact of a URL.
func artifactCommand(s *session.Session, use, short, example string, run func(ctx context.Context, url string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " OCI_URL", Short: short, Example: example, Args: oneURL, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			return aboutRegistry(run(ctx, args[0]))
		},
	}
}

// pusher pushes artifacts.
type pusher struct {
	*session.Session
	registry         registryFlags
	content          contentFlags
	source, revision string
	annotations      []string
	reproducible     bool
	format           string
}

func newPush(s *session.Session) *cobra.Command {
	p := &pusher{Session: s}
	cmd := artifactCommand(s, "artifact", "Make an artifact of files and push it", `  weir push artifact oci://registry.example.com/manifests/podinfo:latest --path=./deploy \
    --source="$(git config --get remote.origin.url)" --revision="$(git branch --show-current)@sha1:$(git rev-parse HEAD)"
  kustomize build . | weir push artifact oci://registry.example.com/manifests/podinfo:latest -f - --source=… --revision=…`, p.run)
	fs := cmd.Flags()
	p.registry.bind(fs)
	p.content.bind(fs, "f")
	fs.StringVar(&p.source, "source", "", "URL of where the files are from")
	fs.StringVar(&p.revision, "revision", "", "revision of the files there: BRANCH@sha1:COMMIT")
	fs.StringArrayVarP(&p.annotations, "annotations", "a", nil, "an annotation of the artifact: KEY=VALUE")
	fs.BoolVar(&p.reproducible, "reproducible", false, "have the same files make the same digest, by leaving the time out")
	fs.StringVarP(&p.format, "output", "o", "", "json or yaml")
	return group("push", "", "Push artifacts to registries", cmd)
}

func (p *pusher) run(ctx context.Context, url string) error {
	if p.format != "" {
		if err := oneOf("output", p.format, show.JSON, show.YAML); err != nil {
			return err
		}
	}
	if err := needed(flagValue{"source", p.source}, flagValue{"revision", p.revision}); err != nil {
		return err
	}
	m := artifact.Metadata{Source: p.source, Revision: p.revision, Created: time.Now(), Annotations: make(map[string]string)}
	if p.reproducible {
		m.Created = time.Unix(0, 0)
	}
	for _, text := range p.annotations {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return fmt.Errorf("--annotations is %q: it is KEY=VALUE", text)
		}
		m.Annotations[key] = value
	}
	content, err := p.content.content(p.Session, p.registry.credentials)
	if err != nil {
		return err
	}
	registry, err := p.registry.open(ctx, p.Session)
	if err != nil {
		return err
	}
	p.Say("pushing %s", url)
	pushed, err := registry.Push(ctx, url, content, m)
	if err != nil {
		return err
	}
	p.Done("pushed %s", pushed.URL)
	return p.print(pushed)
}

// print shows what was pushed as programs read it, if that is asked for.
func (p *pusher) print(pushed artifact.Described) error {
	if p.format == "" {
		return nil
	}
	text, err := formatted(p.format, pushed)
	if err == nil {
		_, err = fmt.Fprint(p.Out, text)
	}
	return err
}

func newPull(s *session.Session) *cobra.Command {
	var registry registryFlags
	var folder string
	cmd := artifactCommand(s, "artifact", "Write the files of an artifact into a folder", `  weir pull artifact oci://registry.example.com/manifests/podinfo:latest --output=./podinfo`,
		func(ctx context.Context, url string) error {
			if err := needed(flagValue{"output", folder}); err != nil {
				return err
			}
			if info, err := os.Stat(folder); err != nil || !info.IsDir() {
				return session.Hint(fmt.Errorf("--output: %s is not a folder", folder), "mkdir %s", folder)
			}
			r, err := registry.open(ctx, s)
			if err != nil {
				return err
			}
			s.Say("pulling %s", url)
			pulled, err := r.Pull(ctx, url, folder, archive.Limits{})
			if err != nil {
				return err
			}
			for _, known := range []struct{ what, value string }{{"source", pulled.Source}, {"revision", pulled.Revision}, {"digest", pulled.Digest}} {
				if known.value != "" {
					s.Done("%s %s", known.what, known.value)
				}
			}
			s.Done("the files are in %s", folder)
			return nil
		})
	registry.bind(cmd.Flags())
	cmd.Flags().StringVarP(&folder, "output", "o", "", "folder for the files")
	return group("pull", "", "Pull artifacts from registries", cmd)
}

func newTag(s *session.Session) *cobra.Command {
	var registry registryFlags
	var tags []string
	cmd := artifactCommand(s, "artifact", "Give an artifact more tags", `  weir tag artifact oci://registry.example.com/manifests/podinfo:v1.0.0 --tag=latest`,
		func(ctx context.Context, url string) error {
			if len(tags) == 0 {
				return errors.New("--tag is missing")
			}
			r, err := registry.open(ctx, s)
			if err != nil {
				return err
			}
			tagged, err := r.Tag(ctx, url, tags)
			if err != nil {
				return err
			}
			for _, tag := range tags {
				s.Done("%s:%s is %s", tagged.Repository, tag, tagged.Digest)
			}
			return nil
		})
	registry.bind(cmd.Flags())
	cmd.Flags().StringSliceVar(&tags, "tag", nil, "tags that the artifact gets")
	return group("tag", "", "Tag artifacts in registries", cmd)
}

func newList(s *session.Session) *cobra.Command {
	var registry registryFlags
	var filter artifact.Filter
	var noHeader bool
	cmd := artifactCommand(s, "artifacts", "List the artifacts of a repository", `  weir list artifacts oci://registry.example.com/manifests/podinfo --filter-semver=">=1.0.0"`,
		func(ctx context.Context, url string) error {
			r, err := registry.open(ctx, s)
			if err != nil {
				return err
			}
			all, err := r.List(ctx, url, filter)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				s.Warn("%s has no artifact that is asked for", url)
				return nil
			}
			table := show.Table{Columns: []show.Column{{Name: "Artifact"}, {Name: "Digest"}, {Name: "Source"}, {Name: "Revision"}}}
			for _, a := range all {
				table.Rows = append(table.Rows, []string{a.Repository + ":" + a.Tag, a.Digest, a.Source, a.Revision})
			}
			return table.Print(s.Out, show.Options{Colour: s.Colour, NoHeader: noHeader})
		})
	cmd.Aliases = []string{"artifact"}
	registry.bind(cmd.Flags())
	cmd.Flags().StringVar(&filter.SemVer, "filter-semver", "", "only tags in a range of versions, the highest first")
	cmd.Flags().StringVar(&filter.Regexp, "filter-regex", "", "only tags that match an expression")
	cmd.Flags().BoolVar(&noHeader, "no-header", false, "leave the header out")
	return group("list", "", "List artifacts of registries", cmd)
}

func newDiffArtifact(s *session.Session) *cobra.Command {
	var registry registryFlags
	var content contentFlags
	cmd := artifactCommand(s, "artifact", "Compare files of this machine with an artifact", `  weir diff artifact oci://registry.example.com/manifests/podinfo:latest --path=./deploy`,
		func(ctx context.Context, url string) error {
			all, err := compareArtifact(ctx, s, &registry, &content, url)
			if err != nil {
				return &session.Exit{Code: diffFails, Err: aboutRegistry(err)}
			}
			for _, d := range all {
				fmt.Fprintf(s.Out, "► %s %s\n", d.Path, fileEffect(d))
			}
			if len(all) > 0 {
				return &session.Exit{Code: differs}
			}
			s.Done("no changes detected")
			return nil
		})
	cmd.Long = `Compares the files of a folder of this machine with those of an artifact.

The exit code is 0 if they are the same, 1 if they are not, and 2 if that could not be found out.`
	registry.bind(cmd.Flags())
	content.bind(cmd.Flags(), "")
	return cmd
}

func compareArtifact(ctx context.Context, s *session.Session, flags *registryFlags, of *contentFlags, url string) ([]artifact.Difference, error) {
	content, err := of.content(s, flags.credentials)
	if err != nil {
		return nil, err
	}
	r, err := flags.open(ctx, s)
	if err != nil {
		return nil, err
	}
	return r.Diff(ctx, url, content)
}

// fileEffect is what a push would do to a file of the artifact.
func fileEffect(d artifact.Difference) string {
	switch {
	case !d.There:
		return "created"
	case !d.Here:
		return "deleted"
	}
	return "changed"
}

func newBuildArtifact(s *session.Session) *cobra.Command {
	var content contentFlags
	var output string
	cmd := &cobra.Command{
		Use: "artifact --path FOLDER", Short: "Make the archive of an artifact", Args: cobra.NoArgs,
		Example: `  weir build artifact --path=./deploy --output=./artifact.tgz`,
		RunE: func(*cobra.Command, []string) error {
			c, err := content.content(s, "")
			if err != nil {
				return err
			}
			if err := needed(flagValue{"output", output}); err != nil {
				return err
			}
			if err := buildInto(output, c); err != nil {
				return err
			}
			s.Done("the artifact is in %s", output)
			return nil
		},
	}
	content.bind(cmd.Flags(), "p")
	cmd.Flags().StringVarP(&output, "output", "o", "artifact.tgz", "file for the archive")
	return cmd
}

// buildInto writes an archive into a file, which is there only if all went well.
func buildInto(path string, c artifact.Content) (err error) {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(artifact.Build(f, c), f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

// formatted returns a value as JSON or YAML.
func formatted(format string, value any) (string, error) {
	data, err := yaml.Marshal(value)
	if err != nil || format == show.YAML {
		return string(data), err
	}
	if data, err = yaml.YAMLToJSON(data); err != nil {
		return "", err
	}
	return string(data) + "\n", nil
}
