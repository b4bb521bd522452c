package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// around is how many lines that are the same are shown around those that are not.
const around = 3

func equal(a, b *unstructured.Unstructured) bool {
	return equality.Semantic.DeepEqual(a.Object, b.Object)
}

// YAML returns objects as a stream of documents.
func YAML(objs []*unstructured.Unstructured) (string, error) {
	var out strings.Builder
	for _, obj := range objs {
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	return out.String(), nil
}

// Unified returns what would change within an object, as a unified diff of YAML without the
// names of files; "" where the object would be created or deleted.
func (c Change) Unified() (string, error) {
	if c.Before == nil || c.After == nil {
		return "", nil
	}
	was, err := lines(c.Before)
	if err != nil {
		return "", err
	}
	would, err := lines(c.After)
	if err != nil {
		return "", err
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: was, B: would, Context: around})
}

// lines returns an object as lines of YAML.
func lines(obj *unstructured.Unstructured) ([]string, error) {
	data, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, err
	}
	text, err := yaml.JSONToYAML(data)
	return difflib.SplitLines(string(text)), err
}
