package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/loop"
)

const (
	// includeIndex finds GitRepository objects by the names of those that they include.
	includeIndex = ".spec.include.repository.name"
	// defaultIncludeRetry is when what is included is looked for again, if it is not
	// there. Its coming is noticed at once.
	defaultIncludeRetry = 30 * time.Second
	// maxPath bounds a path in an artifact, in bytes.
	maxPath = 4096
)

// include is a repository that is included, and from where to where.
type include struct {
	repo     *sourcev1.GitRepository
	from, to string // clean; "." is the root
}

// findIncludes looks up the repositories that are included. It asks the cache, not the
// API server.
func (r *Reconciler) findIncludes(ctx context.Context, s *scope) error {
	for _, i := range s.repo.Spec.Include {
		name := i.Repository.Name
		other, err := r.repository(ctx, s.repo.Namespace, name)
		switch {
		case apierrors.IsNotFound(err):
			return loop.Wait(sourcev1.ReasonNotFound, r.includeRetry(), "could not get resource for include '%s': %w", name, err)
		case err != nil:
			return loop.Fail(sourcev1.ReasonNotFound, fmt.Errorf("could not get resource for include '%s': %w", name, err))
		case other.Status.Artifact == nil:
			return r.noArtifact(name)
		}
		from, err := inside(i.FromPath, ".")
		if err != nil {
			return loop.Stall(sourcev1.ReasonIllegalPath, fmt.Errorf("include '%s': fromPath: %w", name, err))
		}
		to, err := inside(i.ToPath, name)
		if err != nil {
			return loop.Stall(sourcev1.ReasonIllegalPath, fmt.Errorf("include '%s': toPath: %w", name, err))
		}
		s.includes = append(s.includes, include{repo: other, from: from, to: to})
	}
	if way := growing(s.repo.Name, r.includesOf(ctx, s.repo)); way != nil {
		return loop.Fail(sourcev1.ReasonIllegalPath, fmt.Errorf(
			"the repository would grow without end, because it includes its own files: %s; choose another fromPath", strings.Join(way, " includes ")))
	}
	return nil
}

func (r *Reconciler) noArtifact(name string) error {
	return loop.Wait(sourcev1.ReasonNoArtifact, r.includeRetry(), "no artifact available for include '%s'", name)
}

func (r *Reconciler) includeRetry() time.Duration {
	if r.requeue > 0 {
		return r.requeue
	}
	return defaultIncludeRetry
}

// repository returns an object from the cache. It is not to be changed.
func (r *Reconciler) repository(ctx context.Context, namespace, name string) (*sourcev1.GitRepository, error) {
	var repo sourcev1.GitRepository
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &repo, client.UnsafeDisableDeepCopy)
	return &repo, err
}

// includesOf returns a function that tells what a repository beside repo includes.
func (r *Reconciler) includesOf(ctx context.Context, repo *sourcev1.GitRepository) func(name string) []sourcev1.GitRepositoryInclude {
	return func(name string) []sourcev1.GitRepositoryInclude {
		if name == repo.Name {
			return repo.Spec.Include
		}
		other, err := r.repository(ctx, repo.Namespace, name)
		if err != nil {
			return nil // so that it has nothing
		}
		return other.Spec.Include
	}
}

// inside returns a path clean, and as if the root of the repository were that of the file
// system.
func inside(p, otherwise string) (string, error) {
	if p == "" {
		p = otherwise
	}
	if strings.ContainsRune(p, 0) || len(p) > maxPath {
		return "", errors.New("it is no path of a file")
	}
	if clean := path.Clean("/" + p)[1:]; clean != "" {
		return clean, nil
	}
	return ".", nil
}

// includesChanged reports whether what is to be included is other than what was.
func includesChanged(repo *sourcev1.GitRepository, now []include) bool {
	if !slices.Equal(repo.Spec.Include, repo.Status.ObservedInclude) || len(now) != len(repo.Status.IncludedArtifacts) {
		return true
	}
	for i, was := range repo.Status.IncludedArtifacts {
		a := now[i].repo.Status.Artifact
		if a.Digest != was.Digest || !artifact.SameRevision(a.Revision, was.Revision) {
			return true
		}
	}
	return false
}

// addIncludes copies the files of what is included over those of the repository.
func (r *Reconciler) addIncludes(_ context.Context, s *scope) error {
	for _, i := range s.includes {
		files, err := r.unpack(s, i)
		switch name := i.repo.Name; {
		case errors.Is(err, store.ErrNotFound):
			return r.noArtifact(name) // it has another by now
		case err != nil:
			return loop.Fail(sourcev1.ReasonCopyFailure, fmt.Errorf("failed to copy include '%s' from '%s' to '%s': %w", name, i.from, i.to, err))
		}
		if s.files, err = overlay(s.files, files); err != nil {
			return loop.Fail(sourcev1.ReasonCopyFailure, fmt.Errorf("failed to copy include '%s' to '%s': %w", i.repo.Name, i.to, err))
		}
	}
	return nil
}

// overlay puts files over others. What is a folder in one must not be a file in the other.
func overlay(files, over []file) ([]file, error) {
	at := make(map[string]int, len(files)+len(over))
	for i, f := range files {
		at[f.Path] = i
	}
	for _, f := range over {
		i, ok := at[f.Path]
		switch {
		case !ok && len(files) == maxFiles:
			return nil, fmt.Errorf("there would be more than %d files and folders", maxFiles)
		case !ok:
			at[f.Path] = len(files)
			files = append(files, f)
		case files[i].Dir != f.Dir:
			return nil, fmt.Errorf("%q is a folder in one and a file in the other", f.Path)
		case !f.Dir:
			files[i] = f
		}
	}
	for _, f := range over {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if i, ok := at[dir]; ok && !files[i].Dir {
				return nil, fmt.Errorf("%q is a folder in one and a file in the other", dir)
			}
		}
	}
	return files, nil
}

// observed returns the artifacts that were included, for the status.
func observed(includes []include) []meta.Artifact {
	var all []meta.Artifact
	for _, i := range includes {
		all = append(all, *i.repo.Status.Artifact.DeepCopy())
	}
	return all
}

// indexIncludes is what includeIndex has of an object.
func indexIncludes(obj client.Object) []string {
	var names []string
	for _, i := range obj.(*sourcev1.GitRepository).Spec.Include {
		names = append(names, i.Repository.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// includers returns a run for each object that includes obj.
func (r *Reconciler) includers(ctx context.Context, obj client.Object) []reconcile.Request {
	var list sourcev1.GitRepositoryList
	err := r.reader.List(ctx, &list, client.InNamespace(obj.GetNamespace()), client.MatchingFields{includeIndex: obj.GetName()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		log.FromContext(ctx).Error(err, "finding who includes a repository", "repository", obj.GetName())
		return nil
	}
	var runs []reconcile.Request
	for i := range list.Items {
		runs = append(runs, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return runs
}

// forIncluders lets pass what those that include an object have to know: another
// artifact, other includes of its own, and its end.
func forIncluders() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return digestOf(e.Object) != "" },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*sourcev1.GitRepository), e.ObjectNew.(*sourcev1.GitRepository)
			return digestOf(before) != digestOf(after) || !slices.Equal(before.Spec.Include, after.Spec.Include)
		},
		DeleteFunc: func(event.DeleteEvent) bool { return true },
	}
}

// digestOf tells one artifact of an object from another; empty if it has none.
func digestOf(obj client.Object) string {
	a := obj.(*sourcev1.GitRepository).Status.Artifact
	if a == nil {
		return ""
	}
	return a.Revision + "\n" + a.Digest
}
