// Package setters writes what image policies say into the marked values of YAML files.
//
// A value is marked by a comment behind it, on its line:
//
//	image: example.com/app:1.0.0 # {"$imagepolicy": "apps:app"}
//
// The package edits bytes: it replaces the marked values and leaves everything else of a file as
// it is, to the byte. The result is parsed again, and is given out only if it says the same as
// the file did in all but the marked values. What a marker asks for and does not get is in the
// notes, with its line.
//
// It is pure: finding the files and choosing the policies that apply are left to the caller.
package setters

import (
	"bytes"
	"errors"
	"path"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
)

// token is in every file that has a marker.
const token = `"$imagepolicy"`

// Set refuses a file with one of these errors, and then it has changed nothing.
var (
	// ErrYAML is wrapped by the error for a file that does not parse, such as the template of
	// a Helm chart. The text says the line where the parser knows it.
	ErrYAML = errors.New("not valid YAML")
	// ErrLimit is wrapped by the error for a file with more than this package reads.
	ErrLimit = errors.New("too much YAML")
	// ErrUnsafe is wrapped by the error for an edit that would say more than it should.
	ErrUnsafe = errors.New("cannot be edited safely")
)

// Refs say what each policy means now. Markers of policies that are not in it are left alone.
type Refs map[types.NamespacedName]imagev1.ImageRef

// Result is what Set made of a file.
type Result struct {
	// Content of the file with the values of the policies. It is the slice that Set was
	// given if there are no changes.
	Content []byte
	// Changes in the order of the file. A marked value that is right already is none.
	Changes []Change
	// Notes in the order of the file, no more than 100.
	Notes []Note
}

// Change is one value that is replaced.
type Change struct {
	// Object that has the value, as far as its document says.
	Object ObjectID
	// Setter is the text of the marker: namespace, policy and, if the marker has it, the part.
	Setter string
	// OldValue and NewValue as they read, without quotes.
	OldValue, NewValue string
	// Line of the marker before the change.
	Line int
}

// ObjectID names the object of a document. Files need not be manifests: any part may be empty.
type ObjectID struct {
	APIVersion, Kind, Namespace, Name string
}

// Note is a marker that changes nothing, though whoever wrote it may think that it does.
type Note struct {
	// Line of the marker.
	Line int
	// Marker as it is written in the file, cut where it is long.
	Marker string
	// Policy that the marker names, if it names one.
	Policy types.NamespacedName
	// Problem is one of the constants below.
	Problem string
}

// What may be wrong with a marker.
const (
	ProblemBadMarker     = `bad marker, want only {"$imagepolicy": "<namespace>:<policy>"}, with :tag, :name or :digest behind the policy for a part`
	ProblemUnknownPolicy = "unknown policy"
	ProblemNoImage       = "the policy has no image"
	ProblemNoDigest      = "the policy reflects no digest"
	ProblemBadImage      = "the image of the policy has characters that are not of an image"
	ProblemNoValue       = "no value ends directly before the marker"
	ProblemCollection    = "not a scalar: the marker is behind a map or a list"
	ProblemAlias         = "not a scalar: the marker is behind an alias, and belongs to the value with the anchor"
	ProblemBlock         = "the value is a block of lines, and has to be on one line"
	ProblemTag           = "the tag of the value is not one of strings"
)

// Candidate says whether a file of this name is looked at.
func Candidate(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml":
		return true
	}
	return path.Base(name) == "Kustomization"
}

// Marked says whether a file may have markers. It does not parse.
func Marked(content []byte) bool { return bytes.Contains(content, []byte(token)) }

// Set writes what the policies say into the marked values. A file that is not marked is not
// parsed, and is never an error.
func Set(content []byte, refs Refs) (Result, error) {
	if !Marked(content) {
		return Result{Content: content}, nil
	}
	docs, err := parse(content)
	if err != nil {
		return Result{}, err
	}
	src := newSource(content)
	leaves, err := locate(src, docs)
	if err != nil {
		return Result{}, err
	}
	p := planner{src: src, leaves: leaves, refs: refs}
	p.plan()
	if len(p.edits) == 0 {
		return Result{Content: content, Notes: p.notes}, nil
	}
	edited := splice(content, p.edits)
	wanted := make(map[*yaml.Node]string, len(p.edits))
	for _, e := range p.edits {
		wanted[e.node] = e.change.NewValue
	}
	if err := verify(docs, edited, wanted); err != nil {
		return Result{}, err
	}
	r := Result{Content: edited, Changes: make([]Change, 0, len(p.edits)), Notes: p.notes}
	for _, e := range p.edits {
		r.Changes = append(r.Changes, e.change)
	}
	return r, nil
}

// splice returns the text with the edits, which are in order and do not overlap.
func splice(text []byte, edits []edit) []byte {
	size := len(text)
	for _, e := range edits {
		size += len(e.text) - (e.end - e.start)
	}
	out := make([]byte, 0, size)
	done := 0
	for _, e := range edits {
		out = append(append(out, text[done:e.start]...), e.text...)
		done = e.end
	}
	return append(out, text[done:]...)
}
