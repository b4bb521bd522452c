package charts_test

import (
	"errors"
	"strings"
	"testing"

	"weir.dev/helm-controller/internal/charts"
)

func TestSchemasReadNoFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, schema string
		refused     bool
	}{
		"plain":             {why: "it is what most are", schema: `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}`},
		"itself":            {why: "types are used more than once", schema: `{"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#"}}}`},
		"the web":           {why: "schemas of Kubernetes are there", schema: `{"properties": {"a": {"$ref": "https://example.com/a.json#/definitions/x"}}}`},
		"relative to an id": {why: "it leads to the web", schema: `{"$id": "https://example.com/x/values.json", "allOf": [{"$ref": "other.json"}]}`},
		"value":             {why: "a reference may lead to it", schema: `{"default": {"$ref": "/etc/passwd"}, "properties": {"a": {"$ref": "#/default"}}}`, refused: true},
		"list of values":    {why: "a reference may lead to one", schema: `{"enum": [{"$ref": "file:///etc/passwd"}]}`, refused: true},
		"called default":    {why: "it is a schema like any other", schema: `{"properties": {"default": {"$ref": "file:///etc/passwd"}}}`, refused: true},
		"called const":      {why: "it is a schema like any other", schema: `{"$defs": {"const": {"$ref": "file:///etc/passwd"}}}`, refused: true},
		"called examples":   {why: "it is a schema like any other", schema: `{"patternProperties": {"examples": {"$ref": "file:///etc/passwd"}}}`, refused: true},
		"id of a value":     {why: "it is the id of no schema", schema: `{"default": {"$id": "https://example.com/", "a": {"$ref": "etc/passwd"}}, "not": {"$ref": "#/default/a"}}`, refused: true},
		"old id":            {why: "new dialects do not read it", schema: `{"id": "https://example.com/", "$ref": "etc/passwd"}`, refused: true},
		"hidden id":         {why: "old dialects read nothing beside a reference", schema: `{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://example.com/", "$ref": "etc/passwd"}`, refused: true},
		"new id":            {why: "old dialects do not read it", schema: `{"$schema": "http://json-schema.org/draft-04/schema#", "$id": "https://example.com/", "not": {"$ref": "etc/passwd"}}`, refused: true},
		"unknown dialect":   {why: "nobody knows which id counts", schema: `{"$schema": "https://example.com/dialect", "$id": "https://example.com/", "not": {"$ref": "etc/passwd"}}`, refused: true},
		"id inside":         {why: "what is in it is relative to a file", schema: `{"$id": "https://example.com/", "not": {"$id": "file:///etc/x", "not": {"$ref": "passwd"}}}`, refused: true},
		"large number":      {why: "no number is too large for the SDK", schema: `{"maximum": 1e999, "$ref": "file:///etc/passwd"}`, refused: true},
		"own name":          {why: "it is the file itself", schema: `{"$defs": {"a": {}}, "not": {"$ref": "values.schema.json#/$defs/a"}, "items": {"$ref": "file:///values.schema.json#"}}`},
		"name of its own":   {why: "another has that name elsewhere", schema: `{"$id": "/etc/x", "not": {"$ref": "values.schema.json"}}`, refused: true},
		"field":             {why: "it is no reference", schema: `{"properties": {"$ref": {"type": "string"}}}`},
		"no schema":         {why: "the SDK says what is wrong", schema: `{`},
		"file":              {why: "it is the controller's", schema: `{"properties": {"a": {"$ref": "file:///etc/passwd"}}}`, refused: true},
		"file, loud":        {why: "schemes have no case", schema: `{"items": [{"$ref": "FILE:/etc/passwd"}]}`, refused: true},
		"path":              {why: "it is relative to a file", schema: `{"$ref": "/etc/passwd"}`, refused: true},
		"relative path":     {why: "it is relative to a file", schema: `{"$ref": "var/run/secrets/token#/x"}`, refused: true},
		"dialect":           {why: "it is read too", schema: `{"$schema": "file:///etc/passwd"}`, refused: true},
		"file with an id":   {why: "it is a file all the same", schema: `{"$id": "https://example.com/x.json", "$ref": "file:///etc/passwd"}`, refused: true},
		"id of a file":      {why: "it is a file all the same", schema: `{"$id": "file:///etc/values.schema.json", "$ref": "passwd"}`, refused: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for file, at := range map[string]string{"demo/values.schema.json": "chart: values.schema.json: ", "demo/charts/sub/values.schema.json": "charts/sub: values.schema.json: "} {
				_, err := load(t, charts.Options{}, with(simple(), map[string]string{
					"demo/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", file: tc.schema,
				}))
				if refused := errors.Is(err, charts.ErrInvalid); refused != tc.refused || err != nil && !refused {
					t.Errorf("%s: error = %v; want refused %v (%s)", file, err, tc.refused, tc.why)
				}
				if tc.refused && err != nil && !strings.Contains(err.Error(), at) {
					t.Errorf("%s: error = %v", file, err)
				}
			}
		})
	}
}
