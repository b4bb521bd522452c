package verb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/blame"
	"weir.dev/deploy/cli/internal/edits"
	"weir.dev/deploy/cli/internal/origin"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/manifest"
)

// Field managers of the controllers.
const (
	managerOfKustomizations = "kustomize-controller"
	managerOfReleases       = "helm-controller"
)

// deepest bounds how many settings are followed that come of each other.
const deepest = 8

// blaming shows who set the fields of an object.
type blaming struct {
	*session.Session
	format   string
	noHeader bool
	repo     string

	hand    *hand
	cluster owner.Cluster
	reader  *origin.Reader
	warned  map[string]bool
	veils   map[manifest.ID]*veil
}

// fault is a field, and who set it.
type fault struct {
	Field   string `json:"field"`
	Value   string `json:"value,omitempty"`
	Manager string `json:"manager"`
	// How is Apply or Update, and of which subresource.
	How  string    `json:"how"`
	Time time.Time `json:"time,omitzero"`
	// ByHand says that the manager is no part of the cluster, and no controller.
	ByHand bool `json:"byHand,omitempty"`
	// Owner is the Kustomization or HelmRelease whose controller set it, and Revision what that
	// has applied.
	Owner    string `json:"owner,omitempty"`
	Revision string `json:"revision,omitempty"`
	// Chart is the one of the release, with its version.
	Chart string `json:"chart,omitempty"`
	// Via are the settings that the value has come through, the nearest first: a value of a
	// release, or what a Kustomization sets on all that it applies.
	Via []string `json:"via,omitempty"`
	// Place is where the last of these, or the field, is written, and Commit who wrote it.
	Place  *origin.Place  `json:"place,omitempty"`
	Commit *origin.Commit `json:"commit,omitempty"`
	// Setter is who set the last of Via, if that is in no file.
	Setter *setter `json:"setter,omitempty"`

	path fieldpath.Path
}

// setter is who has set a field by a request to the API server.
type setter struct {
	Manager string    `json:"manager"`
	Time    time.Time `json:"time,omitzero"`
}

func newBlame(s *session.Session) *cobra.Command {
	b := &blaming{Session: s, warned: make(map[string]bool), veils: make(map[manifest.ID]*veil)}
	cmd := &cobra.Command{
		Use: "blame KIND/NAME [FIELD]", Short: "Show who set the fields of an object: commit, author, file and line, or whoever did it by hand", Args: cobra.RangeArgs(1, 2),
		Long: `Shows for each field of an object, or for those at FIELD and below it, who set it. What a
Kustomization applied is looked up in the commit that it was made of: which file and line say
so, and which commit made that line what it is. What was set by hand has the field manager, and
when that last wrote the object. Fields of status are left out, unless FIELD is one of them.

The commit is read from the clone that --repo names, or that the current folder is in, if that
has it; else from the remote, with the credentials that the GitRepository names.`,
		Example: `  weir blame deployment/podinfo -n apps
  weir blame deployment/podinfo spec.replicas -n apps
  weir blame deployment/podinfo 'spec.template.spec.containers[name=podinfod].image' -n apps --repo ~/fleet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			return b.run(ctx, args)
		},
	}
	cmd.Flags().StringVarP(&b.format, "output", "o", "", "wide, json or yaml")
	cmd.Flags().BoolVar(&b.noHeader, "no-header", false, "leave the header out")
	bindRepo(cmd, &b.repo)
	return cmd
}

// bindRepo adds the flag that names a clone.
func bindRepo(cmd *cobra.Command, repo *string) {
	cmd.Flags().StringVar(repo, "repo", "", "folder of a clone, of which commits are read without the remote; the current folder, if it is in one")
}

// openRepositories returns what reads repositories. Somebody has to close it.
func openRepositories(h *hand, repo string) (*origin.Reader, error) {
	opts := origin.Options{Clone: repo, Near: "."}
	if h.Terminal {
		opts.Fetching = func(of string) { h.Say("fetching %s with its history", of) }
	}
	return origin.NewReader(h.client, opts)
}

func (b *blaming) run(ctx context.Context, args []string) (err error) {
	if err := checkStructured(b.format); err != nil {
		return err
	}
	if b.hand, err = newHand(b.Session); err != nil {
		return err
	}
	s, err := b.hand.subject(args[0])
	if err != nil {
		return err
	}
	obj, err := b.hand.read(ctx, s)
	switch {
	case apierrors.IsNotFound(err):
		return s.missing("See who should have made it: weir why " + s.text)
	case err != nil:
		return err
	}
	fields, err := chosenFields(obj, s, args[1:])
	if err != nil {
		return err
	}
	b.cluster = owner.Cluster{Client: b.hand.client, Mapper: b.hand.reader.Mapper}
	if b.reader, err = openRepositories(b.hand, b.repo); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.reader.Close()) }()
	above, err := b.cluster.Above(ctx, obj)
	if err != nil {
		return err
	}
	all := []fault{} // which is no null for programs
	for _, f := range fields {
		all = append(all, b.fault(ctx, obj, above, f))
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	maskOthers(all)
	return b.print(all)
}

// chosenFields returns the fields at a path and below it, or all that somebody has asked for.
func chosenFields(obj *unstructured.Unstructured, s subject, path []string) ([]blame.Field, error) {
	all, err := blame.Fields(obj)
	if err != nil {
		return nil, err
	}
	if len(path) == 1 {
		fields := blame.Choose(obj, all, path[0])
		if len(fields) == 0 {
			return nil, session.Hint(fmt.Errorf("nobody has set %s of %s: it is not there, or a default", path[0], s.id), "see all fields: weir blame %s", s.text)
		}
		return fields, nil
	}
	var fields []blame.Field
	for _, f := range all {
		if f.Subresource != "status" {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("nobody is known to have set a field of %s: it has no managedFields", s.id)
	}
	return fields, nil
}

// fault finds out who set a field. What cannot be found out is left out, with a warning.
func (b *blaming) fault(ctx context.Context, obj *unstructured.Unstructured, above *owner.Link, f blame.Field) fault {
	out := fault{Field: f.Name, Value: b.shown(ctx, obj, above, f.Path), Manager: f.Manager, How: string(f.Operation), Time: f.Time, ByHand: edits.ByHand(f.Manager), path: f.Path}
	if f.Subresource != "" {
		out.How += " of " + f.Subresource
	}
	if above == nil || f.Operation != metav1.ManagedFieldsOperationApply || f.Subresource != "" {
		return out
	}
	var err error
	switch {
	case f.Manager == managerOfKustomizations && above.ID.Kind == kustomizev1.KustomizationKind:
		out.Owner = above.ID.String()
		err = b.byKustomization(ctx, &out, above, obj, f.Path)
	case f.Manager == managerOfReleases && above.ID.Kind == helmv2.HelmReleaseKind:
		out.Owner = above.ID.String()
		err = b.byRelease(ctx, &out, above, obj, f.Path)
	}
	if err != nil && ctx.Err() == nil {
		b.warn(err)
	}
	return out
}

// warn tells an error once.
func (b *blaming) warn(err error) {
	text := err.Error()
	if b.warned[text] {
		return
	}
	b.warned[text] = true
	b.Warn("%s", text)
	tellClone(b.Session, err)
}

// nameClone is what to do if a repository cannot be read.
const nameClone = "name a clone that has it: --repo FOLDER"

// tellClone says so, if that is what an error is about.
func tellClone(s *session.Session, err error) {
	if cloneMayHave(err) {
		fmt.Fprintf(s.Err, "  %s\n", nameClone)
	}
}

// cloneMayHave reports whether a clone may have what could not be read.
func cloneMayHave(err error) bool {
	var unread *origin.Unread
	return errors.As(err, &unread) || errors.Is(err, origin.ErrNoHistory) || errors.Is(err, origin.ErrNoRepository)
}

// byKustomization adds where the source of a Kustomization sets a field, or by what it sets
// that itself. What may be secret, because nobody can tell, is masked as well.
func (b *blaming) byKustomization(ctx context.Context, out *fault, link *owner.Link, obj *unstructured.Unstructured, field fieldpath.Path) error {
	controllers := byController(field)
	ks, err := kustomizationOf(link)
	if err != nil {
		if !controllers {
			out.mask()
		}
		return err
	}
	out.Revision = cmp.Or(out.Revision, ks.Status.LastAppliedRevision)
	if controllers {
		return nil
	}
	hidden := b.veil(ctx, link.Object)
	built, err := b.reader.Built(ctx, ks)
	if err != nil {
		if ks.Spec.Decryption != nil || hidden.unread {
			out.mask()
		}
		return err
	}
	if hides(built, hidden, obj, field) {
		out.mask()
	}
	id := manifest.IDOf(obj)
	if setting, ok := built.SetBy(id, field); ok {
		return b.bySetting(ctx, out, link.Object, setting)
	}
	place, err := built.Place(id, field)
	if err != nil {
		return err
	}
	out.Place = &place
	if !place.Exact {
		return nil // who wrote the object has not set this
	}
	for _, name := range place.Variables {
		out.Via = append(out.Via, fmt.Sprintf("${%s} of %s of %s", name, blame.NameOf(built.Variable(name)), link.ID))
		if hidden.secret(name) {
			out.mask()
		}
	}
	commit, err := built.Commit(ctx, place)
	if err != nil {
		return err
	}
	out.Commit = &commit
	return nil
}

// bySetting adds that a field of another object has set a field, and who has set that.
func (b *blaming) bySetting(ctx context.Context, out *fault, obj *unstructured.Unstructured, field fieldpath.Path) error {
	id := manifest.IDOf(obj)
	out.Via = append(out.Via, blame.NameOf(field)+" of "+id.String())
	if len(out.Via) > deepest {
		return nil
	}
	above, err := b.cluster.Above(ctx, obj)
	if err != nil {
		return err
	}
	if above != nil && above.ID.Kind == kustomizev1.KustomizationKind && applied(obj, field) {
		return b.byKustomization(ctx, out, above, obj, field)
	}
	all, err := blame.Fields(obj)
	if last, ok := blame.Last(all, field); ok {
		out.Setter = &setter{Manager: last.Manager, Time: last.Time}
	}
	return err
}

// applied reports whether kustomize-controller owns a field, or something in it or around it.
func applied(obj *unstructured.Unstructured, field fieldpath.Path) bool {
	all, err := blame.Fields(obj)
	last, ok := blame.Last(all, field)
	return err != nil || !ok || last.Manager == managerOfKustomizations
}

// byController reports whether a field is what controllers know objects by, which no source
// says.
func byController(field fieldpath.Path) bool {
	if len(field) != 3 || field[2].FieldName == nil {
		return false
	}
	name := *field[2].FieldName
	return strings.HasPrefix(name, kustomizev1.GroupVersion.Group+"/") || strings.HasPrefix(name, helmv2.GroupVersion.Group+"/")
}

// gone is the error that one that has set something is not there to be asked.
func gone(link *owner.Link) error {
	if link.Err != nil {
		return fmt.Errorf("%s has set it, and may not be read: %w", link.ID, link.Err)
	}
	return fmt.Errorf("%s has set it, and does not exist any more", link.ID)
}

// kustomizationOf returns the Kustomization of a link.
func kustomizationOf(link *owner.Link) (*kustomizev1.Kustomization, error) {
	if link.Object == nil {
		return nil, gone(link)
	}
	ks := &kustomizev1.Kustomization{}
	return ks, runtime.DefaultUnstructuredConverter.FromUnstructured(link.Object.Object, ks)
}

// byRelease adds of which chart a field is and, where that can be told, by which value, and
// where that is set.
func (b *blaming) byRelease(ctx context.Context, out *fault, link *owner.Link, obj *unstructured.Unstructured, field fieldpath.Path) error {
	controllers := byController(field)
	if link.Object == nil {
		if !controllers {
			out.mask()
		}
		return gone(link)
	}
	hr := &helmv2.HelmRelease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(link.Object.Object, hr); err != nil {
		return err
	}
	if last := hr.Status.History.Latest(); last != nil {
		out.Chart, out.Revision = last.ChartName+"@"+last.ChartVersion, last.ChartVersion
	}
	if controllers {
		return nil
	}
	value, _ := manifest.At(obj.Object, field)
	from, err := b.settingOf(ctx, link.Object, hr, field, value)
	if from != nil {
		return b.bySetting(ctx, out, from.object, from.field)
	}
	if err != nil || b.veil(ctx, link.Object).unread {
		out.mask()
	}
	return err
}
