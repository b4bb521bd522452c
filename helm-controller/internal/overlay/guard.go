package overlay

import (
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxExpanded bounds how many nodes a document may have once its aliases are replaced by what
// they stand for.
const maxExpanded = 1_000_000

// checkSize refuses documents that would take all memory: kustomize replaces aliases by what
// they stand for, within their own anchors too.
func checkSize(n *yaml.Node) error {
	_, err := (expander{}).size(n)
	return err
}

// expander knows the sizes of the nodes that have an anchor; that of one which is being
// measured is 0.
type expander map[*yaml.Node]int

func (e expander) size(n *yaml.Node) (int, error) {
	if n.Kind == yaml.AliasNode {
		return e.size(n.Alias)
	}
	if size, ok := e[n]; ok {
		if size == 0 {
			return 0, fmt.Errorf("the YAML anchor %q contains itself: write out what it stands for", n.Anchor)
		}
		return size, nil
	}
	if n.Anchor != "" {
		e[n] = 0
	}
	size := 1
	for _, part := range n.Content {
		partSize, err := e.size(part)
		if err != nil {
			return 0, err
		}
		if size += partSize; size > maxExpanded {
			return 0, fmt.Errorf("with its YAML aliases replaced, the document has more than %d values: split it", maxExpanded)
		}
	}
	if n.Anchor != "" {
		e[n] = size
	}
	return size, nil
}

// problemOf says why a document is no object.
func problemOf(n *yaml.RNode) string {
	if n.YNode().Kind != yaml.MappingNode {
		return "it is no map of fields"
	}
	if n.GetKind() == "" {
		return "it has no kind"
	}
	if strings.HasSuffix(n.GetKind(), "List") {
		return ""
	}
	if n.GetName() == "" {
		return "it has no metadata.name"
	}
	return ""
}

// echoes match where kustomize repeats what it was given, whole objects among it, and what
// changes from run to run.
var echoes = []struct {
	match *regexp.Regexp
	by    string
}{
	{regexp.MustCompile("(?s)trouble configuring builtin (\\w+) with config: `\n.*\n`: "), "$1: "},
	{regexp.MustCompile(`(?s): node contents:\n.*`), ""},
	{regexp.MustCompile(`(?s) ?\[?\{"(apiVersion|kind|metadata)".*`), ""},
	{regexp.MustCompile(`(?s) from \[patch: .*\]`), ""},
	{regexp.MustCompile(`(?s):? \[patch: .*\]`), ""},
	{regexp.MustCompile(`(?s) in object \{\{.*?\}\}`), ""},
	{regexp.MustCompile(`&\{0x[^}]*\}: `), ""},
	{regexp.MustCompile("(!!\\w+) `[^`]*`"), "$1"},
}

// maxMessage bounds how many bytes are told of an error of kustomize.
const maxMessage = 600

// scrub makes a text that can be shown of an error of kustomize.
func scrub(text string) string {
	for _, echo := range echoes {
		text = echo.match.ReplaceAllString(text, echo.by)
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n") // objects follow, if anything does
	if text = strings.Join(strings.Fields(text), " "); len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
