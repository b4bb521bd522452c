package charts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// schemaFile is where a chart says what its values can be, and what the SDK calls it.
const schemaFile = "values.schema.json"

// checkSchema refuses a schema that refers to other files: the SDK would read them from the
// disk of whoever validates, which is no part of any chart. What is no schema at all is left
// to the SDK.
func checkSchema(schema []byte) error {
	var root any
	decoder := json.NewDecoder(bytes.NewReader(schema))
	decoder.UseNumber() // as the SDK does, to which no number is too large
	if decoder.Decode(&root) != nil {
		return nil
	}
	ids := idsIn(root)
	return references{ofFile: len(ids) == 0, ofWeb: onTheWeb(root, ids)}.check(root)
}

// references tells what the relative references of a schema are relative to, for sure. Which
// of its ids count depends on the dialect, and on where they stand.
type references struct {
	ofFile bool // the file itself: no part of it has an id
	ofWeb  bool // a web address
}

// check refuses references to files in a part of a schema. That a part is a value, such as
// a default, makes no difference: a reference may lead there, and then it is a schema.
func (r references) check(node any) error {
	switch node := node.(type) {
	case []any:
		for _, part := range node {
			if err := r.check(part); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(node)) {
			switch key {
			case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
				if to, ok := node[key].(string); ok && !r.allow(to) {
					return fmt.Errorf("%s: %s %q is a file: a schema can refer to itself, or to a web address", schemaFile, key, to)
				}
			}
			if err := r.check(node[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// allow reports whether a reference leads into the schema, or to no file. What is no URL is
// left to the SDK.
func (r references) allow(to string) bool {
	to, _, _ = strings.Cut(to, "#")
	if to == "" {
		return true
	}
	u, err := url.Parse(to)
	switch {
	case err != nil:
		return true
	case !u.IsAbs():
		return r.ofWeb || r.ofFile && to == schemaFile
	default:
		return u.Scheme != "file" || to == "file:///"+schemaFile
	}
}

// idsIn returns all that may be the id of a part of a schema.
func idsIn(node any) []string {
	var out []string
	switch node := node.(type) {
	case []any:
		for _, part := range node {
			out = append(out, idsIn(part)...)
		}
	case map[string]any:
		for key, part := range node {
			if id, ok := part.(string); ok && (key == "$id" || key == "id") {
				out = append(out, id)
			}
			out = append(out, idsIn(part)...)
		}
	}
	return out
}

// onTheWeb reports whether a schema says that it is from the web, and no part of it that it
// is from a file, so that whatever is relative is so to a web address.
func onTheWeb(root any, ids []string) bool {
	top, ok := root.(map[string]any)
	if !ok {
		return false
	}
	at, _ := top["$id"].(string)
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return false
	}
	if _, hidden := top["$ref"]; hidden || !readsID(top["$schema"]) {
		return false // in old dialects, a reference hides what stands beside it
	}
	return !slices.ContainsFunc(ids, func(id string) bool {
		u, err := url.Parse(id)
		return err != nil || u.Scheme == "file"
	})
}

// readsID reports whether $id is the id of a schema in a dialect. To the oldest it is not,
// nor is it known of dialects that others have made.
func readsID(dialect any) bool {
	if dialect == nil {
		return true // it is the newest
	}
	text, _ := dialect.(string)
	text = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(text, "#"), "http://"), "https://")
	return slices.Contains([]string{
		"json-schema.org/schema", "json-schema.org/draft/2020-12/schema", "json-schema.org/draft/2019-09/schema",
		"json-schema.org/draft-07/schema", "json-schema.org/draft-06/schema",
	}, text)
}
