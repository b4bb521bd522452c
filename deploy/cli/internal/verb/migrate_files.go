package verb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/upgrade"
)

// maxManifest bounds files that are looked at, in bytes. Bigger ones are nobody's writing.
const maxManifest = 16 << 20

// rewritten is a file as it is to be.
type rewritten struct {
	path    string
	mode    fs.FileMode
	content []byte
}

// files brings the manifests in a folder, or in one file, to the newest versions.
func (m *migrator) files(ctx context.Context) error {
	all, err := m.look(m.path)
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		m.Done("all manifests in %s have the newest versions of their kinds", m.path)
		return nil
	case m.dryRun:
		m.Done("no file was written: dry run")
		return nil
	}
	if !m.yes {
		if err := m.Confirm(ctx, "Write "+number(len(all), "file")+"?", "say so: weir migrate --path "+m.path+" --yes"); err != nil {
			return err
		}
	}
	for _, f := range all {
		if err := f.write(); err != nil {
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	m.Done("%s written: look at the changes before you commit them", number(len(all), "file"))
	return nil
}

// look returns the files that are to be written, and tells of their changes.
func (m *migrator) look(path string) ([]rewritten, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("--path: %w", err)
	}
	types, err := session.Scheme()
	if err != nil {
		return nil, err
	}
	var all []rewritten
	err = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case !entry.Type().IsRegular(), at != path && !slices.Contains(m.extensions, filepath.Ext(at)):
			return nil
		}
		f, err := m.rewrite(at, types)
		if f != nil {
			all = append(all, *f)
		}
		return err
	})
	return all, err
}

// rewrite returns a file as it is to be; nil if it can stay as it is.
func (m *migrator) rewrite(path string, types *runtime.Scheme) (*rewritten, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	content, err := readUpTo(path, maxManifest)
	if errors.Is(err, errTooBig) {
		m.Warn("%s stays as it is: %v", path, err)
		return nil, nil
	}
	if err != nil || !bytes.Contains(content, []byte(".fluxcd.io/")) {
		return nil, err
	}
	after, changes, err := upgrade.File(content, newestVersion)
	switch {
	case err != nil:
		m.Warn("%s stays as it is, as no manifest can be read from it: %v", path, err)
		return nil, nil
	case len(changes) == 0:
		return nil, nil
	}
	for _, c := range changes {
		m.Say("%s:%d: %s", path, c.Line, c)
		if lost := c.Lost(types); len(lost) > 0 {
			m.Warn("%s:%d: %s does not have %s: say it as that version does", path, c.Line, c.To, strings.Join(lost, ", "))
		}
	}
	return &rewritten{path: path, mode: info.Mode().Perm(), content: after}, nil
}

// newestVersion is that of a kind of the toolkit.
func newestVersion(gk schema.GroupKind) string {
	k, _ := kinds.Of(gk)
	return k.GVK.Version
}

// write replaces the file, of which there is always one as it was or as it is to be.
func (f rewritten) write() error {
	part, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }() // there is none any longer if all is well
	_, err = part.Write(f.content)
	if err == nil {
		err = part.Chmod(f.mode)
	}
	if err == nil {
		err = part.Sync()
	}
	if closed := part.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(part.Name(), f.path)
}
