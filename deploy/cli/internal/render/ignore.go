package render

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/yaml"
)

// ignoring is a folder of which something is left out: it is not listed, and kustomization
// files do not have it among what they bring together. All else may read it still, as a
// generator reads a file.
type ignoring struct {
	*folder
	below   string // what is built; patterns that begin with a slash begin there
	ignored gitignore.Matcher
}

// ignore returns a folder without what patterns in the format of .gitignore match.
func ignore(f *folder, below string, patterns []string) *ignoring {
	var all []gitignore.Pattern
	for _, text := range patterns {
		if text = strings.TrimSpace(text); text != "" && !strings.HasPrefix(text, "#") {
			all = append(all, gitignore.ParsePattern(text, nil))
		}
	}
	return &ignoring{folder: f, below: below, ignored: gitignore.NewMatcher(all)}
}

// ReadDir implements fs.ReadDirFS.
func (i *ignoring) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := i.folder.ReadDir(name)
	from := i.below
	if _, inside := within(from, name); !inside {
		from = name
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return i.leavesOut(from, path.Join(name, e.Name()), e.IsDir()) }), err
}

// ReadFile implements fs.ReadFileFS.
func (i *ignoring) ReadFile(name string) ([]byte, error) {
	content, err := i.folder.ReadFile(name)
	if err != nil || !slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name)) {
		return content, err
	}
	return i.filter(path.Dir(name), content), nil
}

// filter leaves out of a kustomization file in dir what is ignored. One that cannot be read is
// returned as it is, for who builds to say why.
func (i *ignoring) filter(dir string, content []byte) []byte {
	var file map[string]any
	if yaml.Unmarshal(content, &file) != nil {
		return content
	}
	changed := false
	for _, key := range []string{"resources", "bases", "components", "crds"} {
		entries, ok := file[key].([]any)
		if !ok {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(entries), func(entry any) bool {
			text, ok := entry.(string)
			if !ok || strings.Contains(text, "://") {
				return false
			}
			name := path.Join(dir, text)
			info, err := i.Stat(name)
			return err == nil && i.leavesOut(dir, name, info.IsDir())
		})
		if changed = changed || len(kept) < len(entries); len(kept) < len(entries) {
			file[key] = kept
		}
	}
	if !changed {
		return content
	}
	filtered, err := yaml.Marshal(file)
	if err != nil {
		return content
	}
	return filtered
}

// leavesOut reports whether a path is ignored, by patterns that are relative to a folder.
func (i *ignoring) leavesOut(from, name string, isDir bool) bool {
	rel, inside := within(from, name)
	return inside && i.ignored.Match(strings.Split(rel, "/"), isDir)
}

// within returns the path of name from a folder, and whether it is in it.
func within(dir, name string) (rel string, inside bool) {
	if dir == "." {
		return name, true
	}
	if name == dir {
		return ".", true
	}
	return strings.CutPrefix(name, dir+"/")
}
