package build

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// explain finds out where in the tree an error of kustomize comes from, and says so. It reads the
// files again, which only failed builds pay for.
func (g *graph) explain(root *kustomization, spec Spec, err error) error {
	defer schema.lock(false)() // the identity of an object says whether its kind has namespaces
	g.tree.max.accesses = math.MaxInt
	e := &explainer{graph: g, root: root, spec: spec, text: err.Error()}
	for _, why := range []func() error{e.badFile, e.twice, e.badPatch, e.lostPatch, e.failedPatch} {
		if err := why(); err != nil {
			return err
		}
	}
	return e.other()
}

type explainer struct {
	*graph
	root *kustomization
	spec Spec
	text string // of the error
}

// manifestFile is a file of objects that the build reads.
type manifestFile struct {
	name    string
	content []byte
}

func (e *explainer) manifests() []manifestFile {
	var files []manifestFile
	for _, k := range e.order {
		for _, ref := range references(&k.Kustomization) {
			name := path.Join(k.dir, ref.value)
			if ref.want != toResource || slices.ContainsFunc(files, func(f manifestFile) bool { return f.name == name }) {
				continue
			}
			if content, err := e.tree.readFile(name); err == nil {
				files = append(files, manifestFile{name, content})
			}
		}
	}
	return files
}

// badFile finds a file that is no list of objects.
func (e *explainer) badFile() error {
	for _, f := range e.manifests() {
		if err := explainFile(f.name, f.content); err != nil {
			return err
		}
	}
	return nil
}

// explainFile says which document of a file is no object, and nil if all are.
func explainFile(name string, content []byte) error {
	for _, doc := range documents(content) {
		if doc.err != nil {
			return yamlError(name, doc, doc.err)
		}
		if doc.node == nil {
			continue
		}
		if problem := problemOf(doc.node); problem != "" {
			return fmt.Errorf("%s: not a Kubernetes object: %s", place(name, doc.line+doc.node.Line-1), problem)
		}
	}
	if _, err := objects(content); err != nil {
		return fmt.Errorf("%s: not a list of Kubernetes objects: %s", name, scrub(err.Error(), nil))
	}
	return nil
}

// problemOf says why kustomize does not take a document for an object.
func problemOf(node *yaml.Node) string {
	const hint = ", correct it, or leave the file out of the source"
	kinds := map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}
	if what, ok := kinds[node.Kind]; ok {
		if node.Tag == "!!null" {
			return ""
		}
		return "it is " + what + hint
	}
	_, kind := child(node, "kind")
	if kind == nil || kind.Value == "" {
		return "it has no kind" + hint
	}
	_, metadata := child(node, "metadata")
	if strings.HasSuffix(kind.Value, "List") {
		return ""
	}
	if metadata == nil {
		return "it has no metadata" + hint
	}
	if _, name := child(metadata, "name"); name == nil || name.Value == "" {
		return "it has no metadata.name" + hint
	}
	return ""
}

// located is an object, and where it is defined.
type located struct {
	*resource.Resource
	at string
}

func (e *explainer) objects() []located {
	var all []located
	for _, f := range e.manifests() {
		for _, doc := range documents(f.content) {
			found, err := objects([]byte(doc.text))
			if err != nil || doc.node == nil {
				continue
			}
			for _, res := range found {
				all = append(all, located{res, place(f.name, doc.line+doc.node.Line-1)})
			}
		}
	}
	return all
}

var registered = regexp.MustCompile(`already registered id: (\S+?)'?(: |$)`)

// twice finds objects that have the same name.
func (e *explainer) twice() error {
	conflict := strings.Contains(e.text, "ID conflict") // of a change of namespaces
	found := registered.FindStringSubmatch(e.text)
	if found == nil && !conflict {
		return nil
	}
	places := map[string][]string{}
	for _, o := range e.objects() {
		id, name := o.CurId().String(), o.GetKind()+" "+o.GetName()
		if conflict {
			id = name
		}
		places[id] = append(places[id], o.at)
		switch {
		case conflict && len(places[id]) == 2:
			return fmt.Errorf("%s: the namespace that is set for all makes one object of this and %s, both are %s: rename one",
				places[id][1], places[id][0], name)
		case !conflict && id == found[1] && len(places[id]) == 2:
			return fmt.Errorf("%s: %s is already defined in %s: keep one, or rename one", places[id][1], name, places[id][0])
		}
	}
	if conflict {
		return nil
	}
	if at := places[found[1]]; len(at) == 1 {
		return fmt.Errorf("%s: %s is in the build more than once: remove a resource that includes it again, or what generates the same", at[0], idText(found[1]))
	}
	return fmt.Errorf("%s: %s is in the build more than once: keep one", e.root.place(), idText(found[1]))
}

// idText writes an identity of kustomize, as in Deployment.v1.apps/web.shop, as users know it.
func idText(id string) string {
	gvk, name, _ := strings.Cut(id, "/")
	kind, _, _ := strings.Cut(gvk, ".")
	name, namespace, _ := strings.Cut(name, ".[noNs]")
	return kind + " " + name + namespace
}

// patch is a patch that the build applies, and where it is.
type patch struct {
	at   string
	text string
}

func (e *explainer) patches() []patch {
	var all []patch
	for _, k := range e.order {
		for i, p := range k.Patches {
			all = append(all, e.patch(k, field{"patches", i}, p.Patch, p.Path))
		}
		for i, p := range k.PatchesJson6902 {
			all = append(all, e.patch(k, field{"patchesJson6902", i}, p.Patch, p.Path))
		}
		for i, p := range k.PatchesStrategicMerge {
			text, name := string(p), ""
			if !strings.Contains(text, "\n") {
				text, name = "", text
			}
			all = append(all, e.patch(k, field{"patchesStrategicMerge", i}, text, name))
		}
	}
	for i, p := range e.spec.Patches {
		all = append(all, patch{at: field{"spec", "patches", i}.String(), text: p.Patch})
	}
	return all
}

func (e *explainer) patch(k *kustomization, at field, text, name string) patch {
	if text != "" {
		return patch{at: fmt.Sprintf("%s: %s", place(k.file, lineOf(k.content, at)), at), text: text}
	}
	name = path.Join(k.dir, name)
	content, _ := e.readPlain(name)
	return patch{at: name, text: string(content)}
}

// badPatch finds a patch that is neither a strategic merge patch nor a JSON patch.
func (e *explainer) badPatch() error {
	if !strings.Contains(e.text, "parse SM or JSON patch") && !strings.Contains(e.text, "decoding ") {
		return nil
	}
	for _, p := range e.patches() {
		if _, err := objects([]byte(strings.TrimSpace(p.text))); err == nil || operations(p.text) != nil {
			continue
		}
		why := "it is neither an object with kind and metadata.name, nor a list of operations"
		for _, doc := range documents([]byte(p.text)) {
			if doc.err != nil {
				why = strings.TrimPrefix(yamlError("", doc, doc.err).Error(), ":")
				why = "line " + why
				break
			}
		}
		return fmt.Errorf("%s: the patch cannot be read: %s", p.at, why)
	}
	return nil
}

type operation struct{ Op, Path, From string }

// operations returns what a JSON patch does, nil if the text is none.
func operations(text string) []operation {
	var ops []operation
	if err := sigsyaml.Unmarshal([]byte(text), &ops); err != nil {
		return nil
	}
	return ops
}

var unmatched = regexp.MustCompile(`no matches for Id ([^;'"\s]+)`)

// lostPatch finds a patch of an object that is not in the build.
func (e *explainer) lostPatch() error {
	found := unmatched.FindStringSubmatch(e.text)
	if found == nil {
		return nil
	}
	for _, p := range e.patches() {
		targets, err := objects([]byte(strings.TrimSpace(p.text)))
		if err != nil {
			continue
		}
		for _, target := range targets {
			if target.OrgId().String() == found[1] {
				return fmt.Errorf("%s: there is no %s to patch: correct kind, name and namespace, or remove the patch", p.at, idText(found[1]))
			}
		}
	}
	return nil
}

var failed = regexp.MustCompile(`(?:path: |value )(/\S*?)(?::| |$)`)

// failedPatch finds the JSON patch with an operation that does not apply.
func (e *explainer) failedPatch() error {
	if !strings.Contains(e.text, "operation does not apply") && !strings.Contains(e.text, "test failed") {
		return nil
	}
	found := failed.FindStringSubmatch(e.text)
	if found == nil {
		return nil
	}
	for _, p := range e.patches() {
		for _, op := range operations(p.text) {
			if op.Path == found[1] || op.From == found[1] {
				return fmt.Errorf("%s: the operation %s of %s does not apply: a target has no such path, or another value there", p.at, op.Op, found[1])
			}
		}
	}
	return nil
}

var recursed = regexp.MustCompile(`path '` + regexp.QuoteMeta(mount) + `/?([^']*)'`)

// other says what kustomize says, without values, and names the kustomization that it said it of.
func (e *explainer) other() error {
	at := e.root
	if all := recursed.FindAllStringSubmatch(e.text, -1); len(all) > 0 {
		if k := e.known[path.Clean(all[len(all)-1][1])]; k != nil {
			at = k
		}
	}
	return fmt.Errorf("%s: %s", at.place(), scrub(e.text, e.secrets()))
}

// place names the file of a kustomization.
func (k *kustomization) place() string {
	if k.file == "" {
		return k.dir
	}
	return k.file
}
