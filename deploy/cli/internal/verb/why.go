package verb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/origin"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/deploy/cli/internal/why"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

// longest is how many owners an object may have above each other.
const longest = 32

// reasons shows why an object is as it is, or why it is not there.
type reasons struct {
	*session.Session
	format string
	repo   string

	hand    *hand
	cluster owner.Cluster
	reader  *origin.Reader
}

// reason is what there is to say of an object.
type reason struct {
	Object  string `json:"object"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
	// MadeBy are those that made the object of what was applied, the nearest first.
	MadeBy []string `json:"madeBy,omitempty"`
	// Managers are those that wrote the object, if nobody has applied it.
	Managers []setter `json:"writtenBy,omitempty"`
	// By are those that applied the object, or what it was made by, the nearest first: one has
	// applied it, the next one has applied that, and so on.
	By []step `json:"by,omitempty"`
	// Of is the nearest, or the object if it is such a one. What follows is about that.
	Of string `json:"of,omitempty"`
	// Elsewhere says that it applies objects to another cluster.
	Elsewhere bool             `json:"anotherCluster,omitempty"`
	State     *why.State       `json:"state,omitempty"`
	DependsOn []why.Dependency `json:"dependsOn,omitempty"`
	Run       *why.Run         `json:"lastRun,omitempty"`
	Waits     []string         `json:"waitsFor,omitempty"`
}

// step is one that applied an object.
type step struct {
	Name     string `json:"name"`
	Source   string `json:"source,omitempty"`
	Revision string `json:"revision,omitempty"`
	// Place is where the source has the object, and Commit the last one that changed the file.
	Place  *origin.Place  `json:"place,omitempty"`
	Commit *origin.Commit `json:"commit,omitempty"`
	// Pending says that it has not applied the object at this revision.
	Pending bool `json:"pending,omitempty"`
	// Message says that it is gone, or may not be read.
	Message string `json:"message,omitempty"`
}

func newWhy(s *session.Session) *cobra.Command {
	r := &reasons{Session: s}
	cmd := &cobra.Command{
		Use: "why KIND/NAME", Short: "Show why an object is as it is: who applied it, from which file, and what that waits for", Args: cobra.ExactArgs(1),
		Long: `Shows which Kustomization or HelmRelease applied an object, at which revision, from which file;
what that depends on, and which of it is not ready; how long the stages of its last run took, and
what it waits for now. Of an object that does not exist, it shows which Kustomization would make it.`,
		Example: `  weir why deployment/podinfo -n apps
  weir why pod/podinfo-5f8c -n apps
  weir why ks/apps
  weir why configmap/missing -n apps --repo ~/fleet`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			if r.format == show.Wide {
				return fmt.Errorf("there is no output format %q: take json or yaml", r.format)
			}
			if err := checkStructured(r.format); err != nil {
				return err
			}
			if r.hand, err = newHand(s); err != nil {
				return err
			}
			r.cluster = owner.Cluster{Client: r.hand.client, Mapper: r.hand.reader.Mapper}
			if r.reader, err = openRepositories(r.hand, r.repo); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.reader.Close()) }()
			return r.run(ctx, args[0])
		},
	}
	cmd.Flags().StringVarP(&r.format, "output", "o", "", "json or yaml")
	bindRepo(cmd, &r.repo)
	return cmd
}

func (r *reasons) run(ctx context.Context, arg string) error {
	s, err := r.hand.subject(arg)
	if err != nil {
		return err
	}
	var out reason
	obj, err := r.hand.read(ctx, s)
	switch {
	case apierrors.IsNotFound(err):
		out, err = r.absent(ctx, s)
	case err == nil:
		out, err = r.present(ctx, obj)
	}
	if err != nil {
		return err
	}
	if r.format == show.JSON || r.format == show.YAML {
		return printStructured(r.Session, r.format, out)
	}
	return out.print(r.Out, r.Colour)
}

// present finds out what there is to say of an object that is there.
func (r *reasons) present(ctx context.Context, obj *unstructured.Unstructured) (reason, error) {
	out := reason{Object: manifest.IDOf(obj).String()}
	status, message := health.Of(obj)
	out.Status, out.Message = status.String(), message
	if status == health.Current {
		out.Message = ""
	}
	nearest, err := r.climb(ctx, &out, obj)
	if err != nil {
		return out, err
	}
	if len(out.By)+len(out.MadeBy) == 0 {
		out.Managers = writers(obj)
	}
	return out, r.progress(ctx, &out, nearest)
}

// climb adds what an object was made by, and those that applied that. It returns the nearest of
// these, or the object if it is such a one; nil if there is none that may be read.
func (r *reasons) climb(ctx context.Context, out *reason, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	id := manifest.IDOf(obj)
	var nearest *unstructured.Unstructured
	if isApplier(obj) {
		nearest = obj
	}
	seen := map[manifest.ID]bool{id: true}
	for cur := obj; cur != nil && len(seen) < longest; {
		above, err := r.cluster.Above(ctx, cur)
		if err != nil || above == nil {
			return nearest, err
		}
		itself := above.ID == id && isApplier(obj) // which it has applied, at once or by others
		if seen[above.ID] && !itself {
			return nearest, nil
		}
		seen[above.ID] = true
		if !owner.Applies(above.ID.GroupKind()) {
			if above.Err != nil {
				r.Warn("what %s is from is not known: %s", above.ID, above.Missing())
			}
			out.MadeBy = append(out.MadeBy, above.ID.String())
			cur = above.Object
			continue
		}
		s, err := r.step(ctx, *above, manifest.IDOf(cur))
		if err != nil {
			return nearest, err
		}
		out.By = append(out.By, s)
		if itself {
			return nearest, nil
		}
		if nearest == nil {
			nearest = above.Object
		}
		cur = above.Object
	}
	return nearest, nil
}

// writers returns who wrote an object, but for its status, the first one first.
func writers(obj *unstructured.Unstructured) []setter {
	var all []setter
	for _, e := range obj.GetManagedFields() {
		if e.Subresource != "" {
			continue
		}
		s := setter{Manager: e.Manager}
		if e.Time != nil {
			s.Time = e.Time.UTC()
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b setter) int { return a.Time.Compare(b.Time) })
	return all
}

// isApplier reports whether an object applies others.
func isApplier(obj *unstructured.Unstructured) bool {
	return owner.Applies(obj.GroupVersionKind().GroupKind())
}

// step tells of one that applied an object, and where its source has that. That the source cannot
// be read is a warning.
func (r *reasons) step(ctx context.Context, link owner.Link, child manifest.ID) (step, error) {
	s := step{Name: link.ID.String()}
	switch {
	case link.Err != nil:
		s.Message = link.Missing()
		return s, nil
	case link.Object == nil:
		s.Message = "it does not exist any more"
		return s, nil
	}
	o, err := kinds.Read(link.Object)
	if err != nil {
		return s, err
	}
	s.Revision, s.Source = kinds.Revision(o), kinds.SourceName(o)
	if link.ID.Kind != kustomizev1.KustomizationKind {
		return s, nil
	}
	ks, err := kustomizationOf(&link)
	if err != nil {
		return s, err
	}
	built, err := r.reader.Built(ctx, ks)
	err = r.located(ctx, &s, built, err, child)
	return s, err
}

// located adds the file that an object is from, see locate. That it cannot be found, or that
// nothing could be built, is a warning.
func (r *reasons) located(ctx context.Context, s *step, built *origin.Built, err error, child manifest.ID) error {
	if err == nil {
		err = locate(ctx, s, built, child)
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	r.Warn("the file of %s is not known: %v", child, err)
	tellClone(r.Session, err)
	return nil
}

// locate adds the file that an object is from, and who has changed that last.
func locate(ctx context.Context, s *step, built *origin.Built, child manifest.ID) error {
	place, err := built.Place(child, nil)
	if err != nil {
		return err
	}
	s.Place = &place
	commit, err := built.Commit(ctx, origin.Place{File: place.File})
	if err != nil {
		return err
	}
	s.Commit = &commit
	return nil
}

// progress adds what an applier depends on, how its last run went, and what it waits for.
func (r *reasons) progress(ctx context.Context, out *reason, obj *unstructured.Unstructured) error {
	if obj == nil {
		return nil
	}
	out.Of = manifest.IDOf(obj).String()
	out.Elsewhere = owner.Elsewhere(obj)
	link, err := r.cluster.Source(ctx, obj)
	if err != nil {
		return err
	}
	var source *unstructured.Unstructured
	if link != nil {
		source = link.Object
	}
	state, err := why.StateOf(obj)
	if err != nil {
		return err
	}
	out.State = &state
	if out.DependsOn, err = why.Dependencies(ctx, obj, r.get); err != nil {
		return err
	}
	if out.Run, err = why.RunOf(obj, source); err != nil {
		return err
	}
	if out.Waits, err = why.Waits(obj, source, out.DependsOn); err != nil {
		return err
	}
	switch {
	case link == nil || source != nil:
	case link.Err != nil:
		r.Warn("whether it waits for %s is not known: %s", link.ID, link.Missing())
	default:
		out.Waits = append([]string{link.ID.String() + ": " + link.Missing()}, out.Waits...)
	}
	return nil
}

// get is a why.Get.
func (r *reasons) get(ctx context.Context, kind string, key types.NamespacedName) (*unstructured.Unstructured, error) {
	k, ok := kinds.Find(kind)
	if !ok {
		return nil, fmt.Errorf("there is no kind %q", kind)
	}
	mapping, err := r.hand.reader.Mapping(k)
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(mapping.GroupVersionKind)
	err = r.hand.client.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}
