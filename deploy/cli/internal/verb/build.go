package verb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/render"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/manifest"
)

// local is a Kustomization that is built from a folder of this machine.
type local struct {
	*session.Session
	path    string
	file    string
	offline bool
	strict  bool
	ignore  []string
	// recursive builds the Kustomizations that come of a build, too, from sources: folders of
	// this machine by kind, namespace and name.
	recursive bool
	sources   map[string]string
	// missingIsFine has the Kustomization of the file do if the cluster has none.
	missingIsFine bool
}

func (l *local) bind(flags *pflag.FlagSet) {
	flags.StringVar(&l.path, "path", "", "folder of this machine with what spec.path names in the source")
	flags.StringVar(&l.file, "kustomization-file", "", "take the Kustomization from this file instead of the cluster")
	flags.BoolVar(&l.strict, "strict-substitute", false, "fail if a variable is not set and has no default")
	flags.StringSliceVar(&l.ignore, "ignore-paths", nil, "what to leave out, in the format of .gitignore")
	flags.BoolVarP(&l.recursive, "recursive", "r", false, "go on with the Kustomizations that come of it; needs --local-sources")
	flags.StringToStringVar(&l.sources, "local-sources", nil, "folders of this machine with what sources have: Kind/namespace/name=FOLDER")
	flags.Bool("in-memory-build", true, "of no effect: nothing is ever written to the folder")
}

func newBuild(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{Use: "build", Short: "Show what would be applied"}
	l := &local{Session: s}
	ks := &cobra.Command{
		Use: "kustomization NAME --path FOLDER", Aliases: []string{"ks"}, Short: "Build a Kustomization from a folder of this machine", Args: oneName,
		Long: `Builds what kustomize-controller would build if the folder were the source, and prints
it. What SOPS has encrypted is shown as ` + render.Mask + `.`,
		Example: `  weir build kustomization apps --path ./clusters/production/apps
  weir build kustomization apps --path ./apps --kustomization-file ./clusters/production/apps.yaml --dry-run
  weir build kustomization flux-system --path ./clusters/production --recursive --local-sources GitRepository/flux-system/flux-system=.`,
		ValidArgsFunction: completeNames(s, kustomizations()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			all, err := l.build(ctx, args[0])
			if err != nil {
				return err
			}
			var objs []*unstructured.Unstructured
			for _, b := range all {
				objs = append(objs, b.objects...)
			}
			text, err := render.YAML(objs)
			if err == nil {
				_, err = fmt.Fprint(s.Out, text)
			}
			return err
		},
	}
	l.bind(ks.Flags())
	ks.Flags().BoolVar(&l.offline, "dry-run", false, "ask no cluster; the variables of ConfigMaps and Secrets are left out, and --kustomization-file is needed")
	cmd.AddCommand(ks, newBuildArtifact(s))
	choose(cmd)
	return cmd
}

// kustomizations is their kind.
func kustomizations() kinds.Kind {
	k, _ := kinds.Find("kustomization")
	return k
}

// built is a Kustomization and what it is made of.
type built struct {
	ks      *kustomizev1.Kustomization
	objects []*unstructured.Unstructured
}

// build makes the objects of the Kustomization of a name, and those of the Kustomizations that
// come of it, if they are asked for.
func (l *local) build(ctx context.Context, name string) ([]built, error) {
	if err := l.check(name); err != nil {
		return nil, err
	}
	ks, err := l.kustomization(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.buildOn(ctx, ks, l.path, map[types.NamespacedName]bool{})
}

// buildOn builds a Kustomization from a folder, and what comes of it but for what was built
// already: a Kustomization may bring itself.
func (l *local) buildOn(ctx context.Context, ks *kustomizev1.Kustomization, folder string, done map[types.NamespacedName]bool) ([]built, error) {
	done[client.ObjectKeyFromObject(ks)] = true
	objs, err := l.buildOne(ctx, ks, folder)
	if err != nil {
		return nil, err
	}
	all := []built{{ks, objs}}
	if !l.recursive {
		return all, nil
	}
	for _, obj := range objs {
		if obj.GroupVersionKind().GroupKind() != kustomizations().GVK.GroupKind() || done[client.ObjectKeyFromObject(obj)] {
			continue
		}
		child, err := l.child(ctx, obj)
		if err != nil {
			return nil, err
		}
		from, err := l.folderOf(child)
		if err != nil {
			return nil, err
		}
		below, err := l.buildOn(ctx, child, from, done)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// child returns a Kustomization that was built, with what the controller has noted about the
// one of the cluster, if that has one.
func (l *local) child(ctx context.Context, obj *unstructured.Unstructured) (*kustomizev1.Kustomization, error) {
	ks := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, ks); err != nil {
		return nil, fmt.Errorf("%s: %w", name(obj), err)
	}
	if l.offline {
		return ks, nil
	}
	c, err := l.Client()
	if err != nil {
		return nil, err
	}
	live := &kustomizev1.Kustomization{}
	if err := client.IgnoreNotFound(c.Get(ctx, client.ObjectKeyFromObject(ks), live)); err != nil {
		return nil, err
	}
	ks.Status = live.Status
	return ks, nil
}

// folderOf returns the folder of this machine that a Kustomization is built from.
func (l *local) folderOf(ks *kustomizev1.Kustomization) (string, error) {
	ref := ks.Spec.SourceRef
	source := fmt.Sprintf("%s/%s/%s", ref.Kind, cmp.Or(ref.Namespace, ks.Namespace), ref.Name)
	root, ok := l.sources[source]
	if !ok {
		return "", session.Hint(fmt.Errorf("the folder of %s, the source of Kustomization %s/%s, is not known", source, ks.Namespace, ks.Name),
			"name it: --local-sources %s=FOLDER", source)
	}
	return filepath.Join(root, ks.Spec.Path), nil
}

// buildOne makes the objects of a Kustomization from a folder.
func (l *local) buildOne(ctx context.Context, ks *kustomizev1.Kustomization, folder string) ([]*unstructured.Unstructured, error) {
	opts := render.Options{Strict: l.strict, Ignore: l.ignore}
	if l.offline {
		ks.Spec.PostBuild = withoutReferences(ks.Spec.PostBuild)
	}
	if post := ks.Spec.PostBuild; post != nil {
		var read client.Reader // nobody asks it if nothing is referred to
		if len(post.SubstituteFrom) > 0 {
			c, err := l.Client()
			if err != nil {
				return nil, err
			}
			read = c
		}
		var err error
		if opts.Variables, err = buildspec.Variables(ctx, read, ks); err != nil {
			return nil, err
		}
	}
	return render.Build(ks, folder, opts)
}

// check refuses flags that do not go together.
func (l *local) check(name string) error {
	switch {
	case l.path == "":
		return session.Hint(fmt.Errorf("the folder to build is missing"), "name it: --path FOLDER, with what spec.path of %s names in its source", name)
	case l.offline && l.file == "":
		return session.Hint(fmt.Errorf("without a cluster, the Kustomization has to come from a file"), "name it: --kustomization-file FILE")
	}
	if info, err := os.Stat(l.path); err != nil || !info.IsDir() {
		return fmt.Errorf("--path: %s is not a folder", l.path)
	}
	return nil
}

// kustomization returns the Kustomization, from the file if one is given; what the
// controller has noted about it is from the cluster, if it is there.
func (l *local) kustomization(ctx context.Context, name string) (*kustomizev1.Kustomization, error) {
	var asked *kustomizev1.Kustomization
	if l.file != "" {
		var err error
		if asked, err = l.fromFile(name); err != nil || l.offline {
			return asked, err
		}
	}
	h, err := newHand(l.Session)
	if err != nil {
		return nil, err
	}
	key := h.key(name)
	if asked != nil {
		key = client.ObjectKeyFromObject(asked)
	}
	live, err := h.find(ctx, kustomizations(), key, "build")
	if asked != nil && l.missingIsFine && errors.Is(err, errNotFound) {
		return asked, nil
	}
	if err != nil {
		return nil, err
	}
	ks := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, ks); err != nil {
		return nil, err
	}
	if asked != nil {
		ks.Spec = asked.Spec
	}
	return ks, nil
}

// fromFile reads a Kustomization from a file, which may hold other objects.
func (l *local) fromFile(name string) (*kustomizev1.Kustomization, error) {
	content, err := os.ReadFile(l.file)
	if err != nil {
		return nil, err
	}
	objs, err := manifest.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.file, err)
	}
	for _, obj := range objs {
		gk := obj.GroupVersionKind().GroupKind()
		elsewhere := obj.GetNamespace() != "" && obj.GetNamespace() != l.Namespace()
		if gk != kustomizations().GVK.GroupKind() || obj.GetName() != name || elsewhere {
			continue
		}
		ks := &kustomizev1.Kustomization{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, ks, true); err != nil {
			return nil, fmt.Errorf("%s: %w", l.file, err)
		}
		ks.Namespace = l.Namespace()
		return ks, nil
	}
	return nil, fmt.Errorf("%s has no Kustomization %s of namespace %s", l.file, name, l.Namespace())
}

// withoutReferences leaves out what only a cluster has.
func withoutReferences(post *kustomizev1.PostBuild) *kustomizev1.PostBuild {
	if post == nil {
		return nil
	}
	post = post.DeepCopy()
	post.SubstituteFrom = nil
	return post
}
