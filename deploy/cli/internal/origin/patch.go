package origin

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/deploy/cli/internal/yamlnode"
)

// patch is a patch of a kustomization file, and where it is written.
type patch struct {
	file    string
	content []byte
	// before is how many lines there are before the content in its file, and inLine says that
	// all of it is in one line of that.
	before int
	inLine bool
	// target says of what it is a patch; nil if it says that itself.
	target *yaml.Node
}

// patchesIn returns the patches that kustomization files name or have.
func patchesIn(files []File) []patch {
	var out []patch
	for _, f := range files {
		for _, doc := range documents(f.Content) {
			for _, key := range []string{"patches", "patchesStrategicMerge", "patchesJson6902"} {
				for _, entry := range yamlnode.Items(doc, key) {
					if p, ok := patchOf(f, entry, files); ok {
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// patchOf returns the patch that an entry of a kustomization file has, or names.
func patchOf(in File, entry *yaml.Node, files []File) (patch, bool) {
	inline, name := yamlnode.Child(entry, "patch"), yamlnode.Text(entry, "path")
	if entry.Kind == yaml.ScalarNode {
		if inline = entry; !strings.Contains(entry.Value, "\n") {
			inline, name = nil, entry.Value
		}
	}
	target := yamlnode.Child(entry, "target")
	if inline != nil && inline.Kind == yaml.ScalarNode {
		block := inline.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 // which begins below its indicator
		return patch{file: in.Path, content: []byte(inline.Value), before: inline.Line, inLine: !block, target: target}, true
	}
	name = path.Join(path.Dir(in.Path), name)
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == name })
	if i < 0 {
		return patch{}, false
	}
	return patch{file: name, content: files[i].Content, target: target}, true
}

// findPatch returns where the last patch sets the field to a value that is taken. One that is
// about another namespace or group is so only if no other does: builds set namespaces.
func findPatch(w Wanted, patches []patch, take func(*yaml.Node) bool) (Place, bool) {
	var other Place
	for _, p := range slices.Backward(patches) {
		if !aims(p.target, w) {
			continue
		}
		for _, doc := range documents(p.content) {
			f := patched(w, doc, p.target != nil)
			if f == nil || !take(f.value) {
				continue
			}
			place := Place{File: p.file, Line: p.before + f.line, Variables: variables(f.value), Exact: true}
			if p.inLine {
				place.Line = p.before
			}
			if near(p.target, doc, w) {
				return place, true
			}
			if other.File == "" {
				other = place
			}
		}
	}
	return other, other.File != ""
}

// near reports whether a patch says nothing against the group and the namespace of the object.
func near(target, doc *yaml.Node, w Wanted) bool {
	group, namespace := groupOf(yamlnode.Text(doc, "apiVersion")), yamlnode.Text(doc, "metadata", "namespace")
	if target != nil {
		group, namespace = yamlnode.Text(target, "group"), yamlnode.Text(target, "namespace")
	}
	return (group == "" || matches(group, w.Group)) && (namespace == "" || matches(namespace, w.Namespace))
}

// aims reports whether the target of a patch may be the object. Labels are not looked at.
func aims(target *yaml.Node, w Wanted) bool {
	if target == nil {
		return true
	}
	kind, name := yamlnode.Text(target, "kind"), yamlnode.Text(target, "name")
	return (kind == "" || matches(kind, w.Kind)) && (name == "" || strings.Contains(w.Name, name) || matches(name, w.Name))
}

// matches reports whether an expression of a target describes a whole text.
func matches(expression, whole string) bool {
	re, err := regexp.Compile("^(?:" + expression + ")$")
	return err == nil && re.MatchString(whole)
}

// patched returns what a document sets the field to, as a patch of the object; nil if it
// does not. With a target, it need not name the object.
func patched(w Wanted, doc *yaml.Node, targeted bool) *found {
	switch doc.Kind {
	case yaml.MappingNode:
		name := yamlnode.Text(doc, "metadata", "name")
		if !targeted && (yamlnode.Text(doc, "kind") != w.Kind || name == "" || !strings.Contains(w.Name, name)) {
			return nil
		}
		return follow(doc, w.Path)
	case yaml.SequenceNode:
		for _, op := range slices.Backward(doc.Content) {
			if rest, ok := below(w.Path, yamlnode.Text(op, "path")); ok && yamlnode.Text(op, "op") != "remove" {
				value := yamlnode.Child(op, "value")
				if len(rest) == 0 && value != nil {
					return &found{value: value, line: value.Line}
				}
				if f := follow(value, rest); f != nil {
					return f
				}
			}
		}
	}
	return nil
}

// below returns what of a path is below a JSON pointer. Places of items in lists are not
// compared: the pointer counts them, and the path has their keys.
func below(p fieldpath.Path, pointer string) (fieldpath.Path, bool) {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if pointer == "" || len(steps) > len(p) {
		return nil, false
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i, step := range steps {
		if name := p[i].FieldName; name != nil && *name != unescape.Replace(step) {
			return nil, false
		}
	}
	return p[len(steps):], true
}
