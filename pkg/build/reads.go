package build

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
)

// ReadSet is what a build found in its source: the content of the files that it read, the names in
// the directories that it listed, and what was at the paths that it looked for, also where that
// was nothing. The zero value is that of no build.
type ReadSet struct {
	reads []pathRead // sorted by path
}

type pathRead struct {
	path string
	read
}

// read is what was found at a path.
type read struct {
	kind    kind
	content bool   // whether the content of the file, or the names in the directory, matter
	digest  string // of these
}

type kind uint8

const (
	missing kind = iota
	file
	directory
)

// Unchanged says whether a build that found this would find the same in src. It looks at these
// paths only, so its cost does not depend on the size of the source.
func (r ReadSet) Unchanged(src Source) bool {
	for _, was := range r.reads {
		now := read{}
		switch {
		case !was.content:
			k, err := kindOf(src, was.path)
			if err != nil {
				return false
			}
			now.kind = k
		case was.kind == directory:
			now = readOfDir(src, was.path)
		default:
			now = readOfFile(src, was.path)
		}
		if now != was.read {
			return false
		}
	}
	return len(r.reads) > 0
}

// Paths returns the paths that were read, listed, or looked for, sorted.
func (r ReadSet) Paths() []string {
	paths := make([]string, len(r.reads))
	for i, read := range r.reads {
		paths[i] = read.path
	}
	return paths
}

func kindOf(src Source, name string) (kind, error) {
	info, err := src.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return missing, nil
	case err != nil:
		return missing, err
	case info.IsDir():
		return directory, nil
	}
	return file, nil
}

func readOfFile(src Source, name string) read {
	digest, ok := src.FileDigest(name)
	return found(file, digest, ok)
}

func readOfDir(src Source, name string) read {
	digest, ok := src.DirDigest(name)
	return found(directory, digest, ok)
}

func found(k kind, digest string, ok bool) read {
	if !ok {
		return read{}
	}
	return read{kind: k, content: true, digest: digest}
}

// note remembers what was found. To know the content is to know the kind.
func (t *tree) note(name string, r read) {
	if !t.reads[name].content {
		t.reads[name] = r
	}
}

func (t *tree) readSet() ReadSet {
	set := ReadSet{reads: make([]pathRead, 0, len(t.reads))}
	for _, name := range slices.Sorted(maps.Keys(t.reads)) {
		set.reads = append(set.reads, pathRead{path: name, read: t.reads[name]})
	}
	return set
}
