package verb

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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
	// missingIsFine has the Kustomization of the file do if the cluster has none.
	missingIsFine bool
}

func (l *local) bind(flags *pflag.FlagSet) {
	flags.StringVar(&l.path, "path", "", "folder of this machine with what spec.path names in the source")
	flags.StringVar(&l.file, "kustomization-file", "", "take the Kustomization from this file instead of the cluster")
	flags.BoolVar(&l.strict, "strict-substitute", false, "fail if a variable is not set and has no default")
}

func newBuild(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{Use: "build", Short: "Show what would be applied"}
	l := &local{Session: s}
	ks := &cobra.Command{
		Use: "kustomization NAME --path FOLDER", Aliases: []string{"ks"}, Short: "Build a Kustomization from a folder of this machine", Args: oneName,
		Long: `Builds what kustomize-controller would build if the folder were the source, and prints
it. What SOPS has encrypted is shown as ` + render.Mask + `.`,
		Example: `  weir build kustomization apps --path ./clusters/production/apps
  weir build kustomization apps --path ./apps --kustomization-file ./clusters/production/apps.yaml --dry-run`,
		ValidArgsFunction: completeNames(s, kustomizations()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			_, objs, err := l.build(ctx, args[0])
			if err != nil {
				return err
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

// build makes the objects of the Kustomization of a name, and returns it as well.
func (l *local) build(ctx context.Context, name string) (*kustomizev1.Kustomization, []*unstructured.Unstructured, error) {
	if err := l.check(name); err != nil {
		return nil, nil, err
	}
	ks, err := l.kustomization(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	opts := render.Options{Strict: l.strict}
	if l.offline {
		ks.Spec.PostBuild = withoutReferences(ks.Spec.PostBuild)
	}
	if post := ks.Spec.PostBuild; post != nil {
		var read client.Reader // nobody asks it if nothing is referred to
		if len(post.SubstituteFrom) > 0 {
			if read, err = l.Client(); err != nil {
				return nil, nil, err
			}
		}
		if opts.Variables, err = buildspec.Variables(ctx, read, ks); err != nil {
			return nil, nil, err
		}
	}
	objs, err := render.Build(ks, l.path, opts)
	return ks, objs, err
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
