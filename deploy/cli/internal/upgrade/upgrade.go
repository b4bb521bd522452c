// Package upgrade brings manifests in files to the newest versions of the API.
//
// Only versions are written anew: comments, order, quotes and line ends stay as they are.
package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	apiversion "k8s.io/apimachinery/pkg/version"
	kjson "sigs.k8s.io/json"

	"weir.dev/deploy/cli/internal/yamlnode"
)

// Newest returns the newest version of a kind; "" if it is none that is upgraded.
type Newest func(schema.GroupKind) string

// Change is a version that is another one now.
type Change struct {
	// Line is where it is, counted from one.
	Line int
	// Kind is the one whose version it is, in the version that it had.
	Kind schema.GroupVersionKind
	// Namespace and Name are those of the object, if it is one; a reference has no more
	// than what it refers to.
	Namespace, Name string
	// To is the new version.
	To string
	// Object is the object in the new version; nil if it is a reference, or a patch.
	Object map[string]any
}

// String tells what is changed.
func (c Change) String() string {
	subject := c.Kind.Kind
	for _, part := range []string{c.Namespace, c.Name} {
		if part != "" {
			subject += "/" + part
		}
	}
	return fmt.Sprintf("%s %s -> %s", subject, c.Kind.GroupVersion(), c.To)
}

// File returns a file in which all objects, references and patches have the newest versions,
// and what was changed about it, from top to bottom. What is newer stays.
//
// Patches are looked for in what Kustomizations have as patches: text elsewhere, as in a
// ConfigMap, is data. An error says that the file is no YAML, as templates of charts are not.
func File(content []byte, newest Newest) ([]byte, []Change, error) {
	f := &file{lines: bytes.SplitAfter(content, []byte("\n")), newest: newest}
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return bytes.Join(f.lines, nil), f.changes, nil
		case err != nil:
			return nil, nil, err
		}
		f.walk(&doc, 0, true)
	}
}

// Lost returns the paths of fields that an object has, and that its kind has not in the new
// version: the API server refuses them, or drops them.
func (c Change) Lost(types *runtime.Scheme) []string {
	gvk := c.Kind.GroupKind().WithVersion(c.To)
	if c.Object == nil || !types.Recognizes(gvk) {
		return nil
	}
	obj, err := types.New(gvk)
	if err != nil {
		return nil
	}
	data, err := utiljson.Marshal(c.Object)
	if err != nil {
		return nil
	}
	strict, _ := kjson.UnmarshalStrict(data, obj, kjson.DisallowUnknownFields) // variables of a build may stand where numbers do
	var lost []string
	for _, err := range strict {
		if field := (kjson.FieldError)(nil); errors.As(err, &field) {
			lost = append(lost, field.FieldPath())
		}
	}
	return lost
}

// file is one that is being written anew.
type file struct {
	lines   [][]byte
	newest  Newest
	changes []Change
}

// walk changes all versions in a node, which begins after so many lines of the file. Objects
// are what documents, and lists in them, consist of.
func (f *file) walk(node *yaml.Node, above int, object bool) {
	switch node.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, child := range node.Content {
			f.walk(child, above, object)
		}
	case yaml.MappingNode:
		f.version(node, above, object)
		isList := object && strings.HasSuffix(yamlnode.Text(node, "kind"), "List")
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i].Value, node.Content[i+1]
			f.walk(value, above, isList && key == "items")
			f.patches(key, value, above)
		}
	case yaml.ScalarNode, yaml.AliasNode: // what an alias means is changed where it is
	}
}

// patches changes versions in patches, which are text.
func (f *file) patches(key string, value *yaml.Node, above int) {
	switch {
	case key == "patch" && value.Kind == yaml.ScalarNode:
		f.patch(value, above)
	case key == "patchesStrategicMerge" && value.Kind == yaml.SequenceNode:
		for _, item := range value.Content {
			f.patch(item, above)
		}
	}
}

func (f *file) patch(text *yaml.Node, above int) {
	if text.Style&yaml.LiteralStyle == 0 { // other text has no lines of its own
		return
	}
	for decoder := yaml.NewDecoder(strings.NewReader(text.Value)); ; {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return
		}
		f.walk(&doc, above+text.Line, false)
	}
}

// version changes the version that a mapping has.
func (f *file) version(node *yaml.Node, above int, object bool) {
	field, kind := yamlnode.Child(node, "apiVersion"), yamlnode.Text(node, "kind")
	group, have, found := "", "", false
	if field != nil {
		group, have, found = strings.Cut(field.Value, "/")
	} else if field = yamlnode.Child(node, "version"); field != nil { // as patches have their targets
		group, have = yamlnode.Text(node, "group"), field.Value
		found = group != ""
	}
	if !found || kind == "" || field.Kind != yaml.ScalarNode {
		return
	}
	to := f.newest(schema.GroupKind{Group: group, Kind: kind})
	if to == "" || !older(have, to) {
		return
	}
	line := above + field.Line
	if !f.replace(line, field.Value, strings.TrimSuffix(field.Value, have)+to) {
		return
	}
	change := Change{Line: line, Kind: schema.GroupVersionKind{Group: group, Version: have, Kind: kind}, To: to}
	if of := yamlnode.Child(node, "metadata"); of != nil && of.Kind == yaml.MappingNode {
		change.Namespace, change.Name = yamlnode.Text(of, "namespace"), yamlnode.Text(of, "name")
	} else {
		change.Namespace, change.Name = yamlnode.Text(node, "namespace"), yamlnode.Text(node, "name")
	}
	if object && node.Decode(&change.Object) == nil {
		change.Object["apiVersion"] = group + "/" + to
	}
	f.changes = append(f.changes, change)
}

// older reports whether a version came before another: v1beta2 before v1, and v1 before
// v2alpha1.
func older(version, than string) bool {
	a, b := versions.FindStringSubmatch(version), versions.FindStringSubmatch(than)
	if a == nil || b == nil {
		return false
	}
	x, errX := strconv.Atoi(a[1])
	y, errY := strconv.Atoi(b[1])
	if errX != nil || errY != nil || x != y {
		return errX == nil && errY == nil && x < y
	}
	return apiversion.CompareKubeAwareVersionStrings(version, than) < 0
}

var versions = regexp.MustCompile(`^v([1-9][0-9]*)((alpha|beta)[1-9][0-9]*)?$`)

// replace replaces a value in a line, and reports whether it is there.
func (f *file) replace(line int, old, with string) bool {
	if line < 1 || line > len(f.lines) {
		return false
	}
	at := value(f.lines[line-1], old)
	if at < 0 {
		return false
	}
	text := f.lines[line-1]
	f.lines[line-1] = bytes.Join([][]byte{text[:at], []byte(with), text[at+len(old):]}, nil)
	return true
}

// value returns where a line has a value that is not part of a longer one; -1 if nowhere.
func value(line []byte, text string) int {
	for from := 0; ; {
		at := bytes.Index(line[from:], []byte(text))
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(text)
		if (at == 0 || ends(line[at-1])) && (end == len(line) || ends(line[end])) {
			return at
		}
		from = end
	}
}

// ends reports whether a byte can be beside a value.
func ends(b byte) bool { return strings.IndexByte(" \t\r\n\"':,{}[]#", b) >= 0 }
