// Package origin finds out where in a Git repository what is in the cluster was written: the
// file and the line that set a field of an object, and the commit that made the line what it
// is.
//
// A repository is read as the controllers read it, or from a clone on this machine. The
// commit that was applied is built again, by which kustomize tells the file of each object;
// nothing is checked out, and what SOPS has encrypted stays so.
package origin

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/render"
	"weir.dev/pkg/manifest"
)

// What kustomize notes on the objects of a build, and how it is asked to.
const (
	originNote         = "originAnnotations"
	transformersNote   = "transformerAnnotations"
	originKey          = "config.kubernetes.io/origin"
	transformationsKey = "alpha.config.kubernetes.io/transformations"
)

var (
	// ErrNotMade: the build makes no such object.
	ErrNotMade = errors.New("the source makes no such object")
	// ErrNoHistory: the repository has the commit, but not those before it.
	ErrNoHistory = errors.New("the history of the file is not in the repository")
)

// Commit is who made a line what it is.
type Commit struct {
	Hash    string    `json:"hash"`
	Author  string    `json:"author"`
	Email   string    `json:"email"`
	When    time.Time `json:"when"`
	Subject string    `json:"subject"`
}

// Tree is the files of a commit, with what is before it. It is for one goroutine at a time.
type Tree struct {
	commit *object.Commit
	source *tree
	blames map[string]*gogit.BlameResult

	subjects map[plumbing.Hash]string
}

// NewTree returns the files of a commit.
func NewTree(commit *object.Commit) (*Tree, error) {
	root, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", commit.Hash, err)
	}
	return &Tree{
		commit: commit, source: &tree{root: root},
		blames: make(map[string]*gogit.BlameResult), subjects: make(map[plumbing.Hash]string),
	}, nil
}

// Built is what a Kustomization makes of a tree.
type Built struct {
	ks      *kustomizev1.Kustomization
	tree    *Tree
	dir     string
	objects map[manifest.ID]*unstructured.Unstructured
	files   []File
}

// Build makes the objects of a Kustomization.
func (t *Tree) Build(ks *kustomizev1.Kustomization, opts render.Options) (*Built, error) {
	made, err := render.From(t.source, ks, opts, originNote, transformersNote)
	if err != nil {
		return nil, fmt.Errorf("building %s of Kustomization %s/%s at commit %s: %w", ks.Spec.Path, ks.Namespace, ks.Name, t.commit.Hash.String()[:8], err)
	}
	b := &Built{ks: ks, tree: t, dir: strings.TrimPrefix(path.Join("/", ks.Spec.Path), "/"), objects: make(map[manifest.ID]*unstructured.Unstructured)}
	for _, obj := range made.Objects {
		b.objects[manifest.IDOf(obj)] = obj
	}
	for _, name := range made.Reads.Paths() {
		if content, err := t.source.ReadFile(name); err == nil { // paths are of folders, and of what is missing, too
			b.files = append(b.files, File{Path: name, Content: content})
		}
	}
	return b, nil
}

// Has reports whether an object is made.
func (b *Built) Has(id manifest.ID) bool { return b.object(id) != nil }

// object returns what is made; the namespace may be left out in the source, where the API
// server or the user's default fills it in.
func (b *Built) object(id manifest.ID) *unstructured.Unstructured {
	if obj := b.objects[id]; obj != nil {
		return obj
	}
	id.Namespace = ""
	return b.objects[id]
}

// Commit returns the commit of a place, see Tree.Commit.
func (b *Built) Commit(ctx context.Context, at Place) (Commit, error) { return b.tree.Commit(ctx, at) }

// Place returns where a field of an object is written; an empty path is the object itself.
func (b *Built) Place(id manifest.ID, field fieldpath.Path) (Place, error) {
	obj := b.object(id)
	if obj == nil {
		return Place{}, fmt.Errorf("%s: %w", id, ErrNotMade)
	}
	w := wanted(id, field)
	if len(field) > 0 {
		w.Value, w.Known = manifest.At(obj.Object, field)
	}
	var err error
	if w.From, w.Through, err = b.notes(obj); err != nil {
		return Place{}, fmt.Errorf("%s: %w", id, err)
	}
	place, ok := Find(w, b.files)
	if !ok {
		return Place{}, fmt.Errorf("%s: the file that it is from does not have it: %w", id, ErrNotMade)
	}
	return place, nil
}

// note is where kustomize says that something is from.
type note struct {
	Path         string `json:"path"`
	ConfiguredIn string `json:"configuredIn"`
}

// notes returns the file of an object, and those of what made or changed it.
func (b *Built) notes(obj *unstructured.Unstructured) (from string, through []string, err error) {
	var origin note
	if err := yaml.Unmarshal([]byte(obj.GetAnnotations()[originKey]), &origin); err != nil {
		return "", nil, fmt.Errorf("reading the annotation %s: %w", originKey, err)
	}
	var changed []note
	if err := yaml.Unmarshal([]byte(obj.GetAnnotations()[transformationsKey]), &changed); err != nil {
		return "", nil, fmt.Errorf("reading the annotation %s: %w", transformationsKey, err)
	}
	if origin.Path != "" {
		from = path.Join(b.dir, origin.Path)
	}
	for _, n := range append([]note{origin}, changed...) {
		if name := path.Join(b.dir, n.ConfiguredIn); n.ConfiguredIn != "" && !slices.Contains(through, name) {
			through = append(through, name)
		}
	}
	return from, through, nil
}

// Commit returns the commit that made a line of a file what it is, or the last one that
// changed the file, if the line is 0.
func (t *Tree) Commit(ctx context.Context, at Place) (Commit, error) {
	result, err := t.blame(ctx, at.File)
	if err != nil {
		return Commit{}, err
	}
	var line *gogit.Line
	for i, l := range result.Lines {
		if i+1 == at.Line || at.Line == 0 && (line == nil || l.Date.After(line.Date)) {
			line = l
		}
	}
	if line == nil {
		return Commit{}, fmt.Errorf("%s has no such line: %w", at, ErrNotMade)
	}
	if _, known := t.subjects[line.Hash]; !known {
		t.subjects[line.Hash] = t.subject(ctx, line.Hash)
	}
	return Commit{
		Hash: line.Hash.String(), Author: line.AuthorName, Email: line.Author, When: line.Date.UTC(), Subject: t.subjects[line.Hash],
	}, nil
}

// subject returns the first line of the message of a commit, "" if that is not found.
func (t *Tree) subject(ctx context.Context, hash plumbing.Hash) string {
	commits := object.NewCommitIterCTime(t.commit, nil, nil)
	defer commits.Close()
	for ctx.Err() == nil {
		c, err := commits.Next()
		if err != nil {
			return ""
		}
		if c.Hash == hash {
			line, _, _ := strings.Cut(c.Message, "\n")
			return line
		}
	}
	return ""
}

// blame finds out about all lines of a file, once. The library knows no context, so that
// what it does is left behind if that ends: the command ends as well.
func (t *Tree) blame(ctx context.Context, file string) (*gogit.BlameResult, error) {
	if known := t.blames[file]; known != nil {
		return known, nil
	}
	type answer struct {
		result *gogit.BlameResult
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := gogit.Blame(t.commit, file)
		done <- answer{result, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("reading the history of %s: %w", file, context.Cause(ctx))
	case a := <-done:
		switch {
		case errors.Is(a.err, plumbing.ErrObjectNotFound):
			return nil, fmt.Errorf("%s: %w", file, ErrNoHistory)
		case a.err != nil:
			return nil, fmt.Errorf("reading the history of %s: %w", file, a.err)
		}
		t.blames[file] = a.result
		return a.result, nil
	}
}

// revision is what the API makes of a commit: main@sha1:<hash>.
var revision = regexp.MustCompile(`(?:^|@)sha1:([0-9a-f]{40})$`)

// CommitOf returns the commit of a revision of a GitRepository.
func CommitOf(text string) (plumbing.Hash, bool) {
	found := revision.FindStringSubmatch(text)
	if found == nil {
		return plumbing.ZeroHash, false
	}
	return plumbing.NewHash(found[1]), true
}
