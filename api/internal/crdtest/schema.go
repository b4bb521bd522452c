package crdtest

import (
	"fmt"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Fields returns the paths of all fields of the schema but metadata and the type,
// sorted. An element of a list is written "[]", a value of a map "{}".
func (d *Definition) Fields() []string {
	var fields []string
	d.walk(func(path string, _ apiextensionsv1.JSONSchemaProps) {
		fields = append(fields, path)
	})
	slices.Sort(fields)
	return fields
}

// Undocumented returns the fields that "kubectl explain" has nothing to say about.
func (d *Definition) Undocumented() []string {
	var fields []string
	d.walk(func(path string, s apiextensionsv1.JSONSchemaProps) {
		if s.Description == "" && !isElement(path) {
			fields = append(fields, path)
		}
	})
	return fields
}

// Constraints returns what the schema demands beyond types, each as the path of a
// field and a word, such as "spec.url pattern". Rules are numbered from 0.
func (d *Definition) Constraints() []string {
	var all []string
	d.walk(func(path string, s apiextensionsv1.JSONSchemaProps) {
		for _, name := range s.Required {
			all = append(all, path+"."+name+" required")
		}
		for word, is := range map[string]bool{
			"enum":      s.Enum != nil,
			"pattern":   s.Pattern != "",
			"format":    s.Format != "" && s.Type == "string",
			"minLength": s.MinLength != nil,
			"maxLength": s.MaxLength != nil,
			"minimum":   s.Minimum != nil,
			"maximum":   s.Maximum != nil,
			"minItems":  s.MinItems != nil,
			"maxItems":  s.MaxItems != nil,
		} {
			if is {
				all = append(all, path+" "+word)
			}
		}
		for i := range s.XValidations {
			all = append(all, fmt.Sprintf("%s rule %d", path, i))
		}
	})
	slices.Sort(all)
	return all
}

func (d *Definition) walk(visit func(path string, s apiextensionsv1.JSONSchemaProps)) {
	root := d.CRD.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, name := range []string{"spec", "status"} {
		walk(name, root.Properties[name], visit)
	}
}

func walk(path string, s apiextensionsv1.JSONSchemaProps, visit func(string, apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		walk(path+"."+name, s.Properties[name], visit)
	}
	if s.Items != nil {
		walk(path+"[]", *s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil {
		walk(path+"{}", *s.AdditionalProperties.Schema, visit)
	}
}

func isElement(path string) bool {
	return path[len(path)-1] == ']' || path[len(path)-1] == '}'
}

// covered notes the paths, as of Fields, of the fields that v has.
func covered(path string, v any, s apiextensionsv1.JSONSchemaProps, found map[string]bool) {
	found[path] = true
	if s.XPreserveUnknownFields != nil {
		return // whatever it has, the definition does not know
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if s.AdditionalProperties != nil {
				covered(path+"{}", value, *s.AdditionalProperties.Schema, found)
			} else {
				covered(path+"."+key, value, s.Properties[key], found)
			}
		}
	case []any:
		for _, value := range v {
			covered(path+"[]", value, *s.Items.Schema, found)
		}
	}
}
