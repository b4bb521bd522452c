package bootstrap

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/manifest"
)

// maxInstallations bounds how many installations of a repository are looked at.
const maxInstallations = 500

// Tree is what there is in the branch of a repository.
type Tree struct {
	// Commit is what the branch ends with; zero if there is no such branch.
	Commit plumbing.Hash
	// Branches are all that there are, and Default is the one that a clone would check out.
	// Without any, the repository is empty.
	Branches []string
	Default  string
	// Files are those of the folder of the installation, by name, as far as they are there.
	Files map[string][]byte
	// Other are the installations in other folders that would be mixed up with ours.
	Other []Installation
	// Unlisted is a kustomization file above the folder that does not list it; "" if none.
	Unlisted string
	// Manifests is how many files of manifests there are in Path, and beside the folder.
	Manifests int
}

// Installation is another one, in the same repository.
type Installation struct {
	Folder    string // that has its files
	Namespace string
	Path      string // that it applies
}

// Survey looks at the paths of all files, and at some of the files, for what matters to
// the options. The result has no commit and no branches.
func Survey(o Options, files []string, read func(path string) ([]byte, error)) (Tree, error) {
	t := Tree{Files: make(map[string][]byte)}
	there := make(map[string]bool, len(files))
	for _, f := range files {
		there[f] = true
	}
	for _, name := range []string{componentsFile, syncFile, kustomizationFile, besideFile} {
		if at := path.Join(o.Folder(), name); there[at] {
			data, err := read(at)
			if err != nil {
				return t, err
			}
			t.Files[name] = data
		}
	}
	looked := 0
	for _, f := range files {
		dir := path.Dir(f)
		if within(o.Path, f) && !within(o.Folder(), f) && isYAML(f) {
			t.Manifests++
		}
		if path.Base(f) != syncFile || dir == o.Folder() {
			continue
		}
		if looked++; looked > maxInstallations {
			return t, fmt.Errorf("the repository has more than %d files %s, which cannot all be compared", maxInstallations, syncFile)
		}
		data, err := read(f)
		if err != nil {
			return t, err
		}
		other := describe(dir, data)
		if reaches(o.Path, other.Folder, there) || reaches(other.Path, o.Folder(), there) {
			t.Other = append(t.Other, other)
		}
	}
	var err error
	t.Unlisted, err = unlisted(o, there, read)
	return t, err
}

// describe reads the sync manifests of an installation. What they do not tell is as usual.
func describe(folder string, data []byte) Installation {
	in := Installation{Folder: folder, Namespace: path.Base(folder), Path: parent(folder)}
	objs, err := manifest.Read(data)
	if err != nil {
		return in
	}
	for _, obj := range objs {
		if obj.GroupVersionKind().GroupKind() != (kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind)).GroupKind() {
			continue
		}
		in.Namespace = obj.GetNamespace()
		spec, _ := obj.Object["spec"].(map[string]any)
		if at, ok := spec["path"].(string); ok {
			if clean, err := CleanPath(at); err == nil {
				in.Path = clean
			}
		}
	}
	return in
}

// reaches reports whether who applies the folder from applies the folder to: a folder that
// has a kustomization file is applied as that file says, and not folder by folder.
func reaches(from, to string, there map[string]bool) bool {
	if !within(from, to) {
		return false
	}
	for dir := parent(to); to != from; dir = parent(dir) {
		if kustomizationIn(dir, there) != "" {
			return false
		}
		if dir == from {
			break
		}
	}
	return true
}

// kustomizationIn returns the kustomization file of a folder; "" if it has none.
func kustomizationIn(dir string, there map[string]bool) string {
	for _, name := range []string{kustomizationFile, "kustomization.yml", "Kustomization"} {
		if at := path.Join(dir, name); there[at] {
			return at
		}
	}
	return ""
}

// unlisted returns the kustomization file of Path, if there is one and it leaves out the
// folder of the installation.
func unlisted(o Options, there map[string]bool, read func(string) ([]byte, error)) (string, error) {
	at := kustomizationIn(o.Path, there)
	if at == "" {
		return "", nil
	}
	data, err := read(at)
	if err != nil {
		return "", err
	}
	var k struct {
		Resources, Bases, Components []string
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		return "", fmt.Errorf("%s is no kustomization file: %w", at, err)
	}
	for _, r := range slices.Concat(k.Resources, k.Bases, k.Components) {
		if to := path.Join(o.Path, r); to == o.Folder() || to == path.Join(o.Folder(), kustomizationFile) {
			return "", nil
		}
	}
	return at, nil
}

// within reports whether a path is a folder, or below it; "" is the root.
func within(folder, at string) bool {
	return folder == "" || at == folder || strings.HasPrefix(at, folder+"/")
}

// parent returns the folder that a path is in; "" is the root.
func parent(at string) string {
	if dir := path.Dir(at); dir != "." {
		return dir
	}
	return ""
}

func isYAML(f string) bool { return strings.HasSuffix(f, ".yaml") || strings.HasSuffix(f, ".yml") }

// isGenerated reports whether a file says in its first lines that it is written anew by
// each run.
func isGenerated(data []byte) bool {
	const most = 1024
	return bytes.Contains(data[:min(len(data), most)], []byte(generated))
}
