package verb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
	"weir.dev/pkg/apply"
)

// installer brings the controllers into a cluster.
type installer struct {
	*session.Session
	flags                 installation.Flags
	export, dryRun, force bool
}

func newInstall(s *session.Session) *cobra.Command {
	i := &installer{Session: s}
	cmd := &cobra.Command{
		Use: "install", Short: "Install the controllers, or upgrade them", Args: cobra.NoArgs,
		Long: `Install brings the definitions and the controllers into the cluster, in place of those of
an older version, or of Flux. What is managed from Git is left to weir bootstrap.`,
		Example: `  weir install --registry registry.example.com/weir
  weir install --registry registry.example.com/weir --profile lockdown --dry-run
  weir install --registry registry.example.com/weir --export > gotk-components.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd.Context()) },
	}
	i.flags.Bind(cmd.Flags())
	cmd.Flags().BoolVar(&i.export, "export", false, "Print the manifests; the cluster is not changed")
	cmd.Flags().BoolVar(&i.dryRun, "dry-run", false, "Tell what would be changed; the cluster is not changed")
	cmd.Flags().BoolVar(&i.force, "force", false, "Install also over what is managed from Git, or by another program")
	return cmd
}

func (i *installer) run(ctx context.Context) error {
	if err := i.flags.ReadCredentials(ctx, i.Given); err != nil {
		return err
	}
	ctx, cancel := i.Context(ctx)
	defer cancel()
	if i.export {
		return i.print(ctx)
	}
	state, err := look(ctx, i.Session)
	if err != nil {
		return err
	}
	options, err := i.flags.Options(i.Namespace(), state.Installed())
	if err != nil {
		return err
	}
	if !i.force {
		if err := mayInstall(state, options); err != nil {
			return err
		}
	}
	for _, note := range options.Looser(state.Installed()) {
		i.Warn("%s", note)
	}
	return i.apply(ctx, state, options)
}

// print writes the manifests. Of what no flag says, the cluster is asked, if there is one.
func (i *installer) print(ctx context.Context) error {
	live := i.whatIsThere(ctx)
	options, err := i.flags.Options(i.Namespace(), live)
	if err != nil {
		return err
	}
	data, err := install.Render(options)
	if err != nil {
		return err
	}
	_, err = i.Out.Write(data)
	return err
}

// patience is how long a cluster is asked that need not be there.
const patience = 10 * time.Second

// whatIsThere is what the cluster tells of its installation, and says whether manifests depend
// on it. Manifests can be printed without one.
func (i *installer) whatIsThere(ctx context.Context) install.Installed {
	if _, err := i.Config(); err != nil {
		return install.Installed{}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state, err := look(ctx, i.Session)
	if err != nil {
		i.Warn("the manifests are those of a new installation: what there is in the cluster cannot be seen: %v", err)
		return install.Installed{}
	}
	live := state.Installed()
	if len(live.Components) > 0 {
		i.Say("what no flag says is as in namespace %q of the cluster", i.Namespace())
	}
	return live
}

// mayInstall refuses where somebody else takes care of the installation, or it would lose.
func mayInstall(state installation.State, options install.Options) error {
	for _, f := range state.Prerequisites() {
		if f.Level == installation.Bad {
			return session.Hint(fmt.Errorf("%s", f.Text), "%s", f.Do)
		}
	}
	if by := state.Bootstrapped(); by != "" {
		return session.Hint(fmt.Errorf("this installation is managed from Git by Kustomization %s, which would undo what is changed by hand", by),
			"upgrade it there: weir bootstrap; or change the cluster all the same: weir install --force")
	}
	live := state.Installed()
	if other := state.Elsewhere(); len(other) > 0 && !live.WatchesAll() && options.WatchAllNamespaces {
		return session.Hint(fmt.Errorf("there are controllers in namespace %q already: two installations undo each other's work", other[0]),
			"upgrade those: weir install -n %s; have these watch their own namespace: --watch-all-namespaces=false; or install beside them: weir install --force", other[0])
	}
	if live.Newer(options.Version) {
		return session.Hint(fmt.Errorf("weir %s is installed, and %s is older: objects may lose fields that it does not know", live.Version, options.Version),
			"use the weir command of %s or newer; or go back all the same: weir install --force", live.Version)
	}
	return nil
}

// apply brings the objects into the cluster and waits for the controllers.
func (i *installer) apply(ctx context.Context, state installation.State, options install.Options) error {
	objs, err := i.objects(options)
	if err != nil {
		return err
	}
	c, err := i.Client()
	if err != nil {
		return err
	}
	writer, err := newWriter(i.Session)
	if err != nil {
		return err
	}
	i.Say("installing weir %s in namespace %q", options.Version, options.Namespace)
	old, err := i.migrate(ctx, c, state)
	if err != nil {
		return err
	}
	if i.dryRun && old > 0 {
		return session.Hint(fmt.Errorf("what would be changed cannot be seen before objects are migrated"), "migrate them: weir migrate")
	}
	left, err := install.LeftoversOf(state.Installed(), options)
	if err != nil {
		return err
	}
	if err := i.retire(ctx, c, writer, options, left.Controllers, objs); err != nil {
		return err
	}
	if err := i.put(ctx, writer, objs); err != nil {
		return err
	}
	if err := i.takeBack(ctx, c, left.Rest, ""); err != nil || i.dryRun {
		return err
	}
	i.Waiting("waiting for the controllers")
	if err := installation.Ready(ctx, c, objs, func(name string) { i.Done("%s: deployment ready", name) }); err != nil {
		return session.Hint(err, "see what is wrong: weir check")
	}
	i.Done("install finished")
	return nil
}

// objects are all that is installed.
func (i *installer) objects(options install.Options) ([]*unstructured.Unstructured, error) {
	objs, err := install.Objects(options)
	if err != nil {
		return nil, err
	}
	secret, err := i.flags.PullSecret(options)
	if secret != nil {
		objs = append(objs, secret)
	}
	return objs, err
}

// newWriter returns what brings objects into the cluster of a session.
func newWriter(s *session.Session) (*installation.Writer, error) {
	cfg, err := s.Config()
	if err != nil {
		return nil, err
	}
	return installation.NewWriter(cfg)
}

// migrate has objects be stored in versions that weir has, and returns of how many
// definitions they are not.
func (i *installer) migrate(ctx context.Context, c client.Client, state installation.State) (int, error) {
	outdated, _, err := state.Outdated()
	if err != nil {
		return 0, err
	}
	return installation.Migration{Client: c, DryRun: i.dryRun, Tell: i.Say}.Run(ctx, outdated)
}

// put applies the objects, or tells what that would do.
func (i *installer) put(ctx context.Context, w *installation.Writer, objs []*unstructured.Unstructured) error {
	changes, err := w.Put(ctx, types.NamespacedName{}, objs, i.dryRun)
	changed := 0
	for _, change := range changes {
		if text := i.effect(change); text != "" {
			i.Say("%s %s", change.ID, text)
			changed++
		}
	}
	if err != nil {
		return session.Hint(err, "see what stands in the way: weir check --pre")
	}
	if i.dryRun {
		i.Done("%d objects would be changed, of %d", changed, len(objs))
	}
	return nil
}

// retire removes what must not work beside the controllers that come, unless these could
// not come.
func (i *installer) retire(ctx context.Context, c client.WithWatch, w *installation.Writer, options install.Options, left, objs []*unstructured.Unstructured) error {
	replaced := install.Deployments(options.Namespace, install.Replaced(options.Components))
	there, err := installation.TakeBack(ctx, c, slices.Concat(replaced, left), true)
	if err != nil || len(there) == 0 {
		return err
	}
	if !i.dryRun {
		if _, err := w.Try(ctx, c, types.NamespacedName{}, objs); err != nil {
			return err
		}
	}
	if err := i.takeBack(ctx, c, replaced, ": "+install.ImageController+" takes its place"); err != nil {
		return err
	}
	return i.takeBack(ctx, c, left, "")
}

// takeBack removes what the installation had, and is not to have any longer, and tells why.
func (i *installer) takeBack(ctx context.Context, c client.WithWatch, leftovers []*unstructured.Unstructured, why string) error {
	if i.dryRun {
		why += " (dry run)"
	}
	gone, err := installation.TakeBack(ctx, c, leftovers, i.dryRun)
	for _, id := range gone {
		i.Say("%s deleted%s", id, why)
	}
	return err
}

// effect says what was, or would be, done to an object; "" if nothing.
func (i *installer) effect(change apply.Change) string {
	switch {
	case !i.dryRun && change.Effect == apply.Unchanged, i.dryRun && !change.Restored && change.Effect == apply.Unchanged:
		return ""
	case !i.dryRun:
		return change.Effect.String()
	case change.Before == nil:
		return "created (dry run)"
	}
	return "configured (dry run)"
}

// look reads what there is of installations.
func look(ctx context.Context, s *session.Session) (installation.State, error) {
	c, err := s.Client()
	if err != nil {
		return installation.State{}, err
	}
	d, err := s.Discovery()
	if err != nil {
		return installation.State{}, err
	}
	return installation.Reader{Client: c, Discovery: d}.Look(ctx, s.Namespace())
}
