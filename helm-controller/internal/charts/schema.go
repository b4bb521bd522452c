package charts

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// schemaFile is where a chart says what its values can be, and what the SDK calls it.
const schemaFile = "values.schema.json"

// checkSchema refuses a schema that refers to other files: the SDK would read them from the
// disk of whoever validates, which is no part of any chart. What is no schema at all is left
// to the SDK.
func checkSchema(schema []byte) error {
	var root any
	if len(schema) == 0 || json.Unmarshal(schema, &root) != nil {
		return nil
	}
	return checkRefs(root, &url.URL{Scheme: "file", Path: "/" + schemaFile})
}

// checkRefs checks the references in a part of a schema; base is what they are relative to.
func checkRefs(node any, base *url.URL) error {
	switch node := node.(type) {
	case []any:
		for _, part := range node {
			if err := checkRefs(part, base); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range [...]string{"$id", "id"} {
			if id := resolve(base, node[key]); id != nil && id.Scheme != "file" {
				base = id
			}
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			switch key {
			case "const", "default", "enum", "examples":
				continue // which are values
			case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
				if to := resolve(base, node[key]); to != nil && to.Scheme == "file" && to.Path != "/"+schemaFile {
					return fmt.Errorf("%s: %s %q is a file: a schema can refer to itself, or to a web address", schemaFile, key, node[key])
				}
			}
			if err := checkRefs(node[key], base); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve returns where a reference leads, nil if it is none.
func resolve(base *url.URL, ref any) *url.URL {
	text, ok := ref.(string)
	if !ok {
		return nil
	}
	to, err := base.Parse(text)
	if err != nil {
		return nil
	}
	return to
}
