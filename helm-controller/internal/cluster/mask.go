package cluster

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	mask = "***"
	// distinct is the number of bytes from which on a value is replaced. A shorter one
	// stands in any text by chance.
	distinct = 4
)

// masker takes what is in Secrets out of a text: the API server repeats values that it
// refuses.
type masker struct {
	values []string // the longest first, for one may be part of another
}

// maskerOf returns a masker of what is in the Secrets among objects.
func maskerOf(lists ...kube.ResourceList) masker {
	var m masker
	for _, resources := range lists {
		for _, info := range resources {
			if obj, ok := info.Object.(*unstructured.Unstructured); ok && isSecret(obj) {
				m.add(obj)
			}
		}
	}
	slices.SortFunc(m.values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	m.values = slices.Compact(m.values)
	return m
}

// add adds the values of a Secret, in the forms in which they may be repeated.
func (m *masker) add(secret *unstructured.Unstructured) {
	for _, field := range []string{"data", "stringData"} {
		values, _, _ := unstructured.NestedMap(secret.Object, field)
		for _, value := range values {
			text := fmt.Sprint(value)
			m.addText(text)
			if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
				m.addText(string(plain))
			}
			m.addText(base64.StdEncoding.EncodeToString([]byte(text)))
		}
	}
}

func (m *masker) addText(text string) {
	quoted := strconv.Quote(text)
	for _, form := range []string{text, quoted[1 : len(quoted)-1]} {
		if len(strings.TrimSpace(form)) >= distinct {
			m.values = append(m.values, form)
		}
	}
}

// mask returns a text without what is in the Secrets.
func (m masker) mask(text string) string {
	for _, value := range m.values {
		text = strings.ReplaceAll(text, value, mask)
	}
	return text
}
