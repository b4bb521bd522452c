package helmrepository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/remote"
)

// maxNote bounds a file with a note.
const maxNote = 64 << 10

// notes are what servers gave with the indexes that are published, to recognise them
// by: one file an object, so that a restart downloads nothing. A note that is lost, or
// of another index than the one that is advertised, costs one download.
type notes struct {
	dir string

	mu    sync.Mutex
	known map[string]note // by the name of the file
}

// note is what is known of a published index.
type note struct {
	URL        string            `json:"url"`
	Revision   string            `json:"revision"`
	Validators remote.Validators `json:"validators"`
}

// newNotes returns notes in a folder, which is made when there is one to keep.
func newNotes(dir string) *notes { return &notes{dir: dir, known: make(map[string]note)} }

// validators returns what the server gave with the index that repo advertises, if it
// is of its present URL.
func (n *notes) validators(repo *sourcev1.HelmRepository) remote.Validators {
	a := repo.Status.Artifact
	if a == nil {
		return remote.Validators{}
	}
	if known := n.read(n.file(repo)); known.Revision == a.Revision && known.URL == address(repo) {
		return known.Validators
	}
	return remote.Validators{}
}

// keep notes what the server gave with the index that repo advertises. Without that, a
// later run works too.
func (n *notes) keep(ctx context.Context, repo *sourcev1.HelmRepository, given remote.Validators) {
	now := note{URL: address(repo), Revision: repo.Status.Artifact.Revision, Validators: given}
	file := n.file(repo)
	if n.read(file) == now {
		return
	}
	n.mu.Lock()
	n.known[file] = now
	n.mu.Unlock()
	if err := write(file, now); err != nil {
		log.FromContext(ctx).Error(err, "noting what the index is recognised by")
	}
}

// forget drops the note of an object.
func (n *notes) forget(repo *sourcev1.HelmRepository) {
	file := n.file(repo)
	n.mu.Lock()
	delete(n.known, file)
	n.mu.Unlock()
	_ = os.Remove(file) // one that stays is of no index
}

// file is where the note of an object is. A namespace has no dot in its name.
func (n *notes) file(repo *sourcev1.HelmRepository) string {
	return filepath.Join(n.dir, repo.Namespace+"."+repo.Name+".json")
}

// read returns the note in a file, an empty one if there is none.
func (n *notes) read(file string) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.known[file]; ok {
		return known
	}
	var known note
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		if json.NewDecoder(io.LimitReader(f, maxNote)).Decode(&known) != nil {
			known = note{}
		}
	}
	n.known[file] = known
	return known
}

// write puts a note into a file, whole or not at all.
func write(file string, what note) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return fmt.Errorf("writing %q: %w", filepath.Base(file), err)
	}
	return nil
}

// address is where the index of an object is, without who asks for it.
func address(repo *sourcev1.HelmRepository) string { return remote.Redact(repo.Spec.URL) }
