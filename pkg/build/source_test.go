package build

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"weir.dev/pkg/artifact/fetch"
)

var _ Source = (*fetch.Tree)(nil)

// memory is a Source that is written into a test.
type memory struct {
	fstest.MapFS
	opened map[string]int
}

func newMemory(files map[string]string) *memory {
	m := &memory{MapFS: fstest.MapFS{}, opened: map[string]int{}}
	for name, content := range files {
		m.MapFS[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// with returns a copy of a source in which files differ. An empty content removes the file.
func (m *memory) with(changes map[string]string) *memory {
	n := &memory{MapFS: maps.Clone(m.MapFS), opened: map[string]int{}}
	for name, content := range changes {
		if delete(n.MapFS, name); content != "" {
			n.MapFS[name] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	return n
}

func (m *memory) ReadFile(name string) ([]byte, error) {
	m.opened[name]++
	return m.MapFS.ReadFile(name)
}

func (m *memory) FileDigest(name string) (string, bool) {
	content, err := m.MapFS.ReadFile(name)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err == nil
}

func (m *memory) DirDigest(name string) (string, bool) {
	entries, err := m.ReadDir(name)
	var list strings.Builder
	for _, entry := range entries {
		fmt.Fprintln(&list, fs.FormatDirEntry(entry)[:1], entry.Name())
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(list.String()))), err == nil
}

// diskSource reads a directory of files into a source.
func diskSource(t testing.TB, dir string) *memory {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return newMemory(files)
}

// treeOf makes a source of text in the form of txtar.
func treeOf(text string) *memory {
	files := map[string]string{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		files[f.Name] = string(f.Data)
	}
	return newMemory(files)
}
