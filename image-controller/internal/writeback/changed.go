package writeback

import (
	"weir.dev/image-controller/internal/setters"
)

// Change is one value that was set, as templates see it.
type Change struct {
	// OldValue is what was there.
	OldValue string
	// NewValue is what is there now.
	NewValue string
	// Setter is what the marker says.
	Setter string
}

// ObjectChanges are the changes of objects. Ranging over them in a template is in the order
// of their API version, kind, namespace and name.
type ObjectChanges map[setters.ObjectID][]Change

// Changed is what a commit changes, as templates see it.
type Changed struct {
	// FileChanges has the changes of each file, by its path in the repository.
	FileChanges map[string]ObjectChanges

	files []fileChanges // in the order of their paths
}

// fileChanges are those of one file, in the order of their lines.
type fileChanges struct {
	path    string
	changes []setters.Change
}

// newChanged returns the changes of files that are in the order of their paths.
func newChanged(files []fileChanges) Changed {
	c := Changed{FileChanges: make(map[string]ObjectChanges, len(files)), files: files}
	for _, file := range files {
		objects := make(ObjectChanges)
		for _, change := range file.changes {
			objects[change.Object] = append(objects[change.Object], seen(change))
		}
		c.FileChanges[file.path] = objects
	}
	return c
}

// Changes returns the changes without repetitions, in the order of files and lines.
func (c Changed) Changes() []Change {
	var all []Change
	known := make(map[Change]bool)
	for _, file := range c.files {
		for _, change := range file.changes {
			if s := seen(change); !known[s] {
				known[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// Objects returns the changes of each object, whatever file it is in.
func (c Changed) Objects() ObjectChanges {
	all := make(ObjectChanges)
	for _, file := range c.files {
		for _, change := range file.changes {
			all[change.Object] = append(all[change.Object], seen(change))
		}
	}
	return all
}

// ImageResult was data of earlier versions of the API.
func (Changed) ImageResult() (string, error) { return "", removed(".Changed.ImageResult") }

func seen(c setters.Change) Change {
	return Change{OldValue: c.OldValue, NewValue: c.NewValue, Setter: c.Setter}
}

// Line is a change of one line of a file.
type Line struct {
	Path string
	Change
}

// Lines returns all changes, in the order of files and lines.
func (c Changed) Lines() []Line {
	var all []Line
	for _, file := range c.files {
		for _, change := range file.changes {
			all = append(all, Line{Path: file.path, Change: seen(change)})
		}
	}
	return all
}
