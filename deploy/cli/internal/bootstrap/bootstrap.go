package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/install"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// fieldManager is that of requests, which are no part of the installation.
const fieldManager = "weir"

// maxRounds bounds how often all is decided anew because the branch has moved.
const maxRounds = 5

// Teller hears what is done.
type Teller interface {
	Say(format string, args ...any)
	Done(format string, args ...any)
	Waiting(format string, args ...any)
	Warn(format string, args ...any)
}

// Bootstrap is one run.
type Bootstrap struct {
	Options Options
	// Config, Client and Discovery reach the cluster.
	Config    *rest.Config
	Client    client.WithWatch
	Discovery discovery.ServerVersionInterface
	// Git is how this command gets in to the repository, at GitURL, which need not be as the
	// cluster does. Dir is a folder for what is fetched.
	Git    creds.Git
	GitURL string
	Dir    string
	// Login is how the cluster does. Trusted are lines of known_hosts that whoever runs this
	// trusts.
	Login   Login
	Trusted []byte
	// Host is where the repository is; nil if there is nothing to ask but Git.
	Host *Host
	// PullSecret makes what the images of an installation are pulled with; nil, also from it,
	// if there is nothing to make.
	PullSecret func(install.Options) (*unstructured.Unstructured, error)
	// Render makes the manifest of an installation.
	Render func(install.Options) ([]byte, error)
	// DryRun only tells. Export gets the files as they would be; nil if nobody wants them.
	DryRun bool
	Export io.Writer
	Tell   Teller
	Now    func() time.Time

	writer   *installation.Writer
	repo     *Repository
	migrated bool // objects are stored in versions that newer definitions have
}

// Result is how a run ended.
type Result struct {
	// Revision is what the cluster runs from; "" if that is still to come.
	Revision string
	// PullRequest is where people merge what the cluster is to run from; "" if nobody need.
	PullRequest string
}

// Run does what is still to be done.
func (b *Bootstrap) Run(ctx context.Context) (Result, error) {
	if err := b.Options.Validate(); err != nil {
		return Result{}, err
	}
	live, err := Look(ctx, b.Client, b.Discovery, b.Options)
	if err != nil {
		return Result{}, err
	}
	if err := mayTouch(b.Options, live); err != nil {
		return Result{}, err
	}
	if b.Host != nil {
		if err := b.Host.find(ctx); err != nil {
			return Result{}, err
		}
	}
	if b.writer, err = installation.NewWriter(b.Config); err != nil {
		return Result{}, err
	}
	if b.repo, err = OpenRepository(b.GitURL, b.Git, b.Dir); err != nil {
		return Result{}, err
	}
	made, err := b.publish(ctx, live)
	if err != nil || b.DryRun {
		return Result{}, b.hostKeys().Untrusted(err, b.GitURL)
	}
	if made.proposed {
		return b.propose(ctx, made)
	}
	return b.install(ctx, live, made)
}

// published is the commit that the cluster is to run from, and what is in it.
type published struct {
	plan     Plan
	objects  []*unstructured.Unstructured
	commit   plumbing.Hash
	proposed bool // in a branch that is to be merged first
}

// errCreated says that the repository was created, and is to be looked at.
var errCreated = errors.New("the repository was created")

// publish brings the files into the repository. If the branch moves meanwhile, all is
// decided anew.
func (b *Bootstrap) publish(ctx context.Context, live Live) (published, error) {
	var err error
	for range maxRounds {
		var made published
		made, err = b.publishOnce(ctx, live)
		switch {
		case errors.Is(err, git.ErrMoved):
			b.Tell.Say("the branch has moved meanwhile: looking again")
		case !errors.Is(err, errCreated):
			return made, err
		}
	}
	return published{}, err
}

func (b *Bootstrap) publishOnce(ctx context.Context, live Live) (made published, err error) {
	view, err := b.look(ctx)
	if err != nil {
		return made, err
	}
	defer view.Close()
	if made, err = b.decide(view, live); err != nil {
		return made, err
	}
	if b.DryRun {
		return made, b.show(ctx, live, made)
	}
	if b.Host == nil || !b.Host.missing { // else all of this is told again
		for _, note := range made.plan.Notes {
			b.Tell.Warn("%s", note)
		}
	}
	if err := b.try(ctx, live, made.objects); err != nil {
		return made, err
	}
	if b.Host != nil {
		if err := b.Host.ensure(ctx, b.Options, b.Tell); err != nil {
			return made, err
		}
	}
	return b.commit(ctx, view, made)
}

// decide decides on what to write, and refuses what the cluster would lose by.
func (b *Bootstrap) decide(view *View, live Live) (made published, err error) {
	o := b.Options
	if made.plan, err = Decide(o, view.Tree, live, b.Render); err != nil {
		return made, err
	}
	files := view.with(made.plan.Edits)
	if made.objects, err = objectsOf(o, files); err != nil {
		return made, err
	}
	return made, mayLeaveOut(o, live, made.objects, func() ([]*unstructured.Unstructured, error) { return built(o, files, o.Path) })
}

// try has the cluster look at all objects before anything is written: what it refuses must
// not get into Git, where its controllers find it, nor cost what is replaced. Objects that
// are stored in versions which newer definitions do not have are migrated first.
func (b *Bootstrap) try(ctx context.Context, live Live, objs []*unstructured.Unstructured) error {
	if !b.migrated {
		if _, err := b.migration().Run(ctx, live.Outdated); err != nil {
			return err
		}
		b.migrated = true
	}
	if _, err := b.writer.Try(ctx, b.Client, b.owner(), objs); err != nil {
		return fmt.Errorf("trying what would be applied: %w", err)
	}
	return nil
}

func (b *Bootstrap) migration() installation.Migration {
	return installation.Migration{Client: b.Client, DryRun: b.DryRun, Tell: b.Tell.Say}
}

// owner is the Kustomization that manages the objects from then on.
func (b *Bootstrap) owner() types.NamespacedName {
	return types.NamespacedName{Namespace: b.Options.Install.Namespace, Name: b.Options.Install.Namespace}
}

// commit makes the commit of a plan, if there is anything to write, and pushes it.
func (b *Bootstrap) commit(ctx context.Context, view *View, made published) (published, error) {
	o := b.Options
	var err error
	if made.commit = view.Commit; len(made.plan.Edits) == 0 {
		b.Tell.Done("manifests are up to date at %s", revisionOf(o.Branch, made.commit))
		return made, nil
	}
	if o.PullRequest != "" && !made.plan.Direct {
		var pushed bool
		if made.commit, pushed, err = b.repo.Propose(ctx, view, o, made.plan, b.Now()); err != nil {
			return made, err
		}
		if made.proposed = true; pushed {
			b.Tell.Done("pushed %s to branch %q", made.commit, o.PullRequest)
		}
		return made, nil
	}
	if made.commit, err = b.repo.Commit(ctx, view, o, made.plan, b.Now()); err != nil {
		return made, err
	}
	b.Tell.Done("pushed %s: %s", revisionOf(o.Branch, made.commit), title(made.plan.Message))
	return made, nil
}

// look looks at the repository. Where there is none yet, there is nothing in it.
func (b *Bootstrap) look(ctx context.Context) (*View, error) {
	if b.Host != nil && b.Host.missing {
		return &View{Tree: Tree{Files: map[string][]byte{}}}, nil
	}
	b.Tell.Say("looking at branch %q of %s", b.Options.Branch, b.repo.remote)
	return b.repo.Look(ctx, b.Options)
}

// show tells what would be done.
func (b *Bootstrap) show(ctx context.Context, live Live, made published) error {
	o := b.Options
	if b.Host != nil && b.Host.missing {
		b.Tell.Say("the repository %s would be created", b.Host)
	}
	for _, note := range made.plan.Notes {
		b.Tell.Warn("%s", note)
	}
	switch n, err := b.migration().Run(ctx, live.Outdated); {
	case err != nil:
		return err
	case n == 0: // else nothing can be tried before
		if err := b.try(ctx, Live{}, made.objects); err != nil {
			return err
		}
	}
	for _, e := range made.plan.Edits {
		b.Tell.Say("%s would be written", e.Path)
	}
	switch {
	case len(made.plan.Edits) == 0:
		b.Tell.Done("manifests are up to date")
	case o.PullRequest != "" && !made.plan.Direct:
		b.Tell.Done("they would be pushed to branch %q, to be merged into %q: %s", o.PullRequest, o.Branch, title(made.plan.Message))
	default:
		b.Tell.Done("they would be pushed to branch %q: %s", o.Branch, title(made.plan.Message))
	}
	b.Tell.Done("%d objects would be applied, and the Secret %s/%s seen to", len(made.objects), o.Install.Namespace, o.Secret)
	if b.Export == nil {
		return nil
	}
	for _, f := range made.plan.Files {
		if _, err := fmt.Fprintf(b.Export, "---\n# %s\n%s", f.Path, strings.TrimPrefix(string(f.Content), "---\n")); err != nil {
			return err
		}
	}
	return nil
}

// propose has people asked to merge what was pushed.
func (b *Bootstrap) propose(ctx context.Context, made published) (Result, error) {
	at := fmt.Sprintf("branch %q", b.Options.PullRequest)
	if b.Host != nil {
		url, err := b.Host.propose(ctx, b.Options, made)
		if err != nil {
			return Result{}, err
		}
		at = url
	}
	return Result{PullRequest: at}, nil
}

// install brings what was published into the cluster.
func (b *Bootstrap) install(ctx context.Context, live Live, made published) (Result, error) {
	o, revision := b.Options, revisionOf(b.Options.Branch, made.commit)
	if err := b.namespace(ctx, made); err != nil {
		return Result{}, err
	}
	if err := b.access(ctx); err != nil {
		return Result{}, err
	}
	replaced := install.Deployments(o.Install.Namespace, install.Replaced(made.plan.Install.Components))
	retired, err := installation.TakeBack(ctx, b.Client, replaced, false)
	for _, id := range retired {
		b.Tell.Say("%s deleted: %s takes its place", id, install.ImageController)
	}
	if err != nil {
		return Result{}, err
	}
	if live.follows(o) {
		b.ahead(ctx, revision)
	}
	b.Tell.Say("applying %d objects", len(made.objects))
	changed, err := b.put(ctx, made.objects)
	if err != nil {
		return Result{}, err
	}
	b.Tell.Done("%d objects applied, %d of them changed", len(made.objects), changed)
	meta.MaybeResetRESTMapper(b.Client.RESTMapper()) // else it knows the kinds from before their definition
	if revision, err = b.follow(ctx, revision); err != nil {
		return Result{}, b.whyNotFollowed(ctx, err)
	}
	if err := installation.Ready(ctx, b.Client, made.objects, func(name string) { b.Tell.Done("%s: deployment ready", name) }); err != nil {
		return Result{}, err
	}
	return Result{Revision: revision}, nil
}

// namespace makes the namespace, and the Secret with which images are pulled.
func (b *Bootstrap) namespace(ctx context.Context, made published) error {
	first := []*unstructured.Unstructured{find(made.objects, "Namespace", b.Options.Install.Namespace)}
	if first[0] == nil {
		first[0] = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": b.Options.Install.Namespace},
		}}
	}
	if b.PullSecret != nil {
		secret, err := b.PullSecret(made.plan.Install)
		if err != nil {
			return err
		}
		if secret != nil {
			first = append(first, secret)
		}
	}
	_, err := b.put(ctx, first)
	return err
}

// put applies objects, and returns how many it changed.
func (b *Bootstrap) put(ctx context.Context, objs []*unstructured.Unstructured) (int, error) {
	changes, err := b.writer.Put(ctx, b.owner(), objs, false)
	changed := 0
	for _, c := range changes {
		if c.Effect != apply.Unchanged && c.Effect != apply.Skipped {
			changed++
		}
	}
	return changed, err
}

// revisionOf is how the API writes a commit of a branch.
func revisionOf(branch string, commit plumbing.Hash) string {
	return git.Target{Commit: commit, Label: branch}.Revision()
}

// title is the first line of the message of a commit.
func title(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return line
}
