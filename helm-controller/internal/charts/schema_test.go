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
		"value":             {why: "it is no reference", schema: `{"default": {"$ref": "/etc/passwd"}, "enum": [{"$ref": "file:///etc/passwd"}]}`},
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
