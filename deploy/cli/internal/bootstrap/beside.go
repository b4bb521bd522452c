package bootstrap

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/install"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// besideHeader says whose file it is.
const besideHeader = `# What of another distribution goes on to run beside weir, as it was in ` + componentsFile + `.
# This file is yours: edit it to upgrade these controllers, or remove it and its line in
# ` + kustomizationFile + ` to let them go.
`

// besides returns the manifests, among those of another distribution, of controllers that
// weir does not have; nil if there are none.
func besides(components []byte) ([]byte, error) {
	objs, err := manifest.Read(components)
	if err != nil {
		return nil, nil //nolint:nilerr // nobody could apply it
	}
	var out bytes.Buffer
	for _, obj := range objs {
		if len(install.Beside([]string{install.ComponentOf(obj)})) == 0 {
			continue
		}
		if out.Len() == 0 {
			out.WriteString(besideHeader)
		}
		data, err := yaml.Marshal(obj)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", besideFile, err)
		}
		out.WriteString("---\n")
		out.Write(data)
	}
	return out.Bytes(), nil
}

// listLine and listFlow are how a kustomization file lists our file.
var (
	listLine = regexp.MustCompile(`(?m)^(\s*-\s+)(\./)?` + regexp.QuoteMeta(componentsFile) + `[ \t]*(#.*)?$`)
	listFlow = regexp.MustCompile(`([\[,]\s*)(\./)?` + regexp.QuoteMeta(componentsFile) + `(\s*[\],])`)
)

// listed returns a kustomization file that lists a file after our own, and is as it was
// otherwise. It reports false if it cannot tell how.
func listed(list []byte, name string) ([]byte, bool) {
	var was, is map[string]any
	if yaml.Unmarshal(list, &was) != nil {
		return nil, false
	}
	resources, _ := was["resources"].([]any)
	if slices.Contains(resources, any(name)) || slices.Contains(resources, any("./"+name)) {
		return list, true
	}
	out := listLine.ReplaceAll(list, []byte("$0\n${1}"+name))
	if bytes.Equal(out, list) {
		out = listFlow.ReplaceAll(list, []byte("${1}${2}"+componentsFile+", "+name+"${3}"))
	}
	if yaml.Unmarshal(out, &is) != nil {
		return nil, false
	}
	after, _ := is["resources"].([]any)
	delete(was, "resources")
	delete(is, "resources")
	same := fmt.Sprint(was) == fmt.Sprint(is) && len(after) == len(resources)+1 && slices.Contains(after, any(name))
	return out, same
}

// keepBeside has the files keep what of another distribution goes on to run: its manifests
// are in the file that is written anew, and would be gone with it.
func (p *Plan) keepBeside(o Options, tree Tree, list []byte) ([]byte, error) {
	_, there := tree.Files[besideFile]
	if there || !describeComponents(tree.Files[componentsFile]).Foreign { // ours has their rights only
		return list, nil
	}
	kept, err := besides(tree.Files[componentsFile])
	if kept == nil || err != nil {
		return list, err
	}
	list, ok := listed(list, besideFile)
	if !ok {
		return nil, refuse(NotListed, "%s has manifests of controllers that weir does not have, and %s does not list it, so that these would get lost",
			path.Join(o.Folder(), componentsFile), path.Join(o.Folder(), kustomizationFile)).
			next("have its resources list %s, in a line of its own", componentsFile)
	}
	p.edit(o, tree, besideFile, kept)
	p.note("%s of another distribution goes on to run; its manifests are in %s, which is yours from now on",
		strings.Join(install.Beside(describeComponents(kept).Components), ", "), besideFile)
	return list, nil
}

// mayLeaveOut refuses to leave out of Git the definitions of kinds that the cluster has from
// there: its controllers would delete them, and the API server all objects of these kinds.
// The objects are those of the folder of the installation; whole returns those of the whole
// path, if they can be told.
func mayLeaveOut(o Options, live Live, objects []*unstructured.Unstructured, whole func() ([]*unstructured.Unstructured, error)) error {
	if live.Sync == nil || o.accepts(LosesKinds) {
		return nil
	}
	lost := leftOut(live.Sync.Inventory, objects)
	if len(lost) > 0 {
		if all, err := whole(); err == nil { // else nobody knows of more
			lost = leftOut(live.Sync.Inventory, all)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	r := refuse(LosesKinds, "the cluster has %s from Git, and would lose it, with all objects of that kind", lost[0])
	_, group, _ := strings.Cut(lost[0], ".")
	if component, ours := install.Serving(group); ours {
		return r.next("keep its controller: --components-extra=%s; or let it go: --force", component)
	}
	return r.next("weir has no controller of it: have its manifests in another file that the cluster runs from, or let it go: --force")
}

// leftOut returns the definitions of the toolkit that are in an inventory, and not among
// objects.
func leftOut(had inventory.Set, objects []*unstructured.Unstructured) []string {
	var out []string
	for _, id := range had.IDs() {
		_, group, _ := strings.Cut(id.Name, ".")
		if id.Kind == "CustomResourceDefinition" && strings.HasSuffix(group, ".fluxcd.io") && find(objects, id.Kind, id.Name) == nil {
			out = append(out, id.Name)
		}
	}
	return out
}
