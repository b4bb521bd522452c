package origin

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/kustomize"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/deploy/cli/internal/yamlnode"
	"weir.dev/pkg/manifest"
)

// Place is a line of a file of a source.
type Place struct {
	File string `json:"file"`
	// Line is 0 if the whole file is meant.
	Line int `json:"line,omitempty"`
	// Variables are the names of those that are written there, and that the value was put in
	// the place of.
	Variables []string `json:"variables,omitempty"`
	// Exact says that the value of the field is written there; else it is where the object
	// is, and what sets the field was not found.
	Exact bool `json:"exact"`
}

// String returns the place as compilers write it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// File is a file that a build has read.
type File struct {
	Path    string
	Content []byte
}

// Wanted is a field of an object that a build has made.
type Wanted struct {
	Group, Kind, Namespace, Name string

	Path fieldpath.Path
	// Value is what the build has set, if Known.
	Value any
	Known bool
	// From is the file that the object is from, "" if it was generated.
	From string
	// Through are the files of what changed it, in order.
	Through []string
}

// wanted returns a field of an object, of which the value is not known yet.
func wanted(id manifest.ID, field fieldpath.Path) Wanted {
	return Wanted{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name, Path: field}
}

// Find returns where a field is written: in the file of the object, or else in a patch of
// it, or else in the kustomization file that changed the object. A variable counts as what
// was put in its place, unless the value is written somewhere else. The last place that may
// have set the field is the one that has.
func Find(w Wanted, files []File) (Place, bool) {
	object, field := findObject(w, files)
	if field != nil && (!w.Known || w.is(field.value)) {
		return Place{File: object.File, Line: field.line, Exact: true}, true
	}
	patches := patchesIn(files)
	if place, ok := findPatch(w, patches, w.is); ok {
		return place, true
	}
	if field != nil && variable(field.value) {
		return Place{File: object.File, Line: field.line, Variables: variables(field.value), Exact: true}, true
	}
	if place, ok := findPatch(w, patches, variable); ok {
		return place, true
	}
	if place, ok := findWhole(w, files); ok {
		return place, true
	}
	for _, name := range slices.Backward(w.Through) {
		for _, f := range files {
			if f.Path != name {
				continue
			}
			if line, ok := findMention(w, f); ok {
				return Place{File: f.Path, Line: line, Exact: true}, true
			}
			if object.File == "" {
				object = Place{File: f.Path}
			}
		}
	}
	return object, object.File != ""
}

// findObject returns where the object is in the file that it is from, and the field if that
// has it.
func findObject(w Wanted, files []File) (Place, *found) {
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == w.From })
	if i < 0 {
		return Place{}, nil
	}
	var sameName, sameKind []*yaml.Node
	for _, doc := range documents(files[i].Content) {
		for _, obj := range objectsIn(doc) {
			if yamlnode.Text(obj, "kind") != w.Kind {
				continue
			}
			if yamlnode.Text(obj, "metadata", "name") == w.Name {
				sameName = append(sameName, obj)
			}
			sameKind = append(sameKind, obj)
		}
	}
	if found := w.nearest(sameName); len(found) > 0 {
		return Place{File: w.From, Line: found[0].Line, Exact: len(w.Path) == 0}, follow(found[0], w.Path)
	}
	// Names are given prefixes and suffixes.
	several := len(sameKind) > 1
	sameKind = slices.DeleteFunc(sameKind, func(n *yaml.Node) bool {
		name := yamlnode.Text(n, "metadata", "name")
		return several && (name == "" || !strings.Contains(w.Name, name))
	})
	if sameKind = w.nearest(sameKind); len(sameKind) != 1 {
		return Place{}, nil
	}
	return Place{File: w.From, Line: sameKind[0].Line}, follow(sameKind[0], w.Path)
}

// nearest returns those of some objects of the kind that are most like the object by group and
// namespace. A namespace may be left out, and a build may set another one.
func (w Wanted) nearest(objects []*yaml.Node) []*yaml.Node {
	var best []*yaml.Node
	most := -1
	for _, obj := range objects {
		score := 0
		if groupOf(yamlnode.Text(obj, "apiVersion")) == w.Group {
			score += 3
		}
		switch yamlnode.Text(obj, "metadata", "namespace") {
		case w.Namespace:
			score += 2
		case "":
			score++
		}
		if score > most {
			best, most = nil, score
		}
		if score == most {
			best = append(best, obj)
		}
	}
	return best
}

// groupOf returns the group of an apiVersion.
func groupOf(apiVersion string) string { return schema.FromAPIVersionAndKind(apiVersion, "").Group }

// findWhole returns the file of which the whole content is the value, as generators of
// ConfigMaps and Secrets take it.
func findWhole(w Wanted, files []File) (Place, bool) {
	content, ok := w.Value.(string)
	if !ok || content == "" || w.From != "" || len(w.Path) != 2 {
		return Place{}, false
	}
	if w.Kind == "Secret" || w.Path[0].FieldName != nil && *w.Path[0].FieldName == "binaryData" {
		plain, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return Place{}, false
		}
		content = string(plain)
	}
	var same []string
	for _, f := range files {
		if string(f.Content) == content {
			same = append(same, f.Path)
		}
	}
	if key := w.Path[1].FieldName; len(same) > 1 && key != nil {
		same = slices.DeleteFunc(same, func(name string) bool { return path.Base(name) != *key })
	}
	if len(same) != 1 {
		return Place{}, false
	}
	return Place{File: same[0], Exact: true}, true
}

// findMention returns the line of a kustomization file that has the value: as it is, below
// the name of the field if there are several, or what an entry of images or replicas sets.
func findMention(w Wanted, f File) (int, bool) {
	value, ok := w.Value.(string)
	if !ok {
		value = fmt.Sprint(w.Value)
	}
	if !w.Known || value == "" {
		return 0, false
	}
	name := ""
	if last := w.Path[len(w.Path)-1].FieldName; last != nil {
		name = *last
	}
	best, line := 0, 0
	for _, doc := range documents(f.Content) {
		if n := listed(w, doc, name, value); n != nil {
			return n.Line, true
		}
		scalars("", doc, func(key string, n *yaml.Node) {
			score := 0
			switch {
			case n.Value == value && key == name, n.Value == name+"="+value:
				score = 2
			case n.Value == value:
				score = 1
			}
			if score > best {
				best, line = score, n.Line
			}
		})
	}
	return line, best > 0
}

// listed returns what an entry of images or replicas has set a field to; nil if none has.
func listed(w Wanted, doc *yaml.Node, name, value string) *yaml.Node {
	switch name {
	case "image":
		for _, entry := range yamlnode.Items(doc, "images") {
			image := kustomize.Image{Name: yamlnode.Text(entry, "name"), NewName: yamlnode.Text(entry, "newName"), NewTag: yamlnode.Text(entry, "newTag"), Digest: yamlnode.Text(entry, "digest")}
			if key, ok := SetsImage(image, value); ok {
				return yamlnode.Child(entry, key)
			}
		}
	case "replicas":
		for _, entry := range yamlnode.Items(doc, "replicas") {
			if of := yamlnode.Text(entry, "name"); of != "" && strings.Contains(w.Name, of) && yamlnode.Text(entry, "count") == value {
				return yamlnode.Child(entry, "count")
			}
		}
	}
	return nil
}

// SetsImage returns which key of an entry of images has made an image what it is.
func SetsImage(entry kustomize.Image, image string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(image, cmp.Or(entry.NewName, entry.Name))
	switch {
	case !ok:
	case entry.Digest != "" && strings.HasSuffix(rest, "@"+entry.Digest):
		return "digest", true
	case entry.NewTag != "" && (rest == ":"+entry.NewTag || strings.HasPrefix(rest, ":"+entry.NewTag+"@")):
		return "newTag", true
	case entry.NewName != "" && (rest == "" || rest[0] == ':' || rest[0] == '@'):
		return "newName", true
	}
	return "", false
}

// scalars visits all values of a document, each with the key that it is below.
func scalars(key string, n *yaml.Node, visit func(key string, n *yaml.Node)) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			scalars(n.Content[i].Value, n.Content[i+1], visit)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			scalars(key, item, visit)
		}
	case yaml.ScalarNode:
		visit(key, n)
	}
}

// is reports whether a value of a file is the one that the build has set.
func (w Wanted) is(n *yaml.Node) bool {
	if !w.Known || n == nil {
		return false
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return false
	}
	return same(v, w.Value)
}

// same reports whether two values are the same, where numbers may be of different types.
func same(a, b any) bool {
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// reference is a variable in a value, with its name. What it is without a value is left out.
var reference = regexp.MustCompile(`\$\{([a-zA-Z_][a-zA-Z0-9_]*)`)

// variable reports whether a value of a file has a variable in it.
func variable(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && reference.MatchString(n.Value)
}

// variables returns the names of the variables in a value, and nothing else of it.
func variables(n *yaml.Node) []string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return nil
	}
	var names []string
	for _, found := range reference.FindAllStringSubmatch(n.Value, -1) {
		if !slices.Contains(names, found[1]) {
			names = append(names, found[1])
		}
	}
	return names
}
