package setters

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSetKeepsAStringAString has tags, and how they are written where no quotes were before.
func TestSetKeepsAStringAString(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"1.2.3":               "1.2.3",
		"v1.10":               "v1.10",
		"latest":              "latest",
		"1.10.0-rc.1":         "1.10.0-rc.1",
		"1.10-alpine":         "1.10-alpine",
		"1.2.3_build":         "1.2.3_build",
		"main-0badcafe-17":    "main-0badcafe-17",
		"0bad":                "0bad",
		"0b12":                "0b12",
		"0xyz":                "0xyz",
		"1e":                  "1e",
		"12345ab":             "12345ab",
		"2024-01-01-build":    "2024-01-01-build",
		"2024-01":             "2024-01",
		"a@b":                 "a@b",
		"a:b":                 "a:b",
		"host:5000/app:1.0":   "host:5000/app:1.0",
		"nullable":            "nullable",
		"/x":                  "/x",
		"1.10":                `"1.10"`,
		"1.":                  `"1."`,
		"1":                   `"1"`,
		"20240101":            `"20240101"`,
		"1_000":               `"1_000"`,
		"1__0.5_":             `"1__0.5_"`,
		"010":                 `"010"`,
		"0o17":                `"0o17"`,
		"0x10":                `"0x10"`,
		"0X1_F":               `"0X1_F"`,
		"0b11":                `"0b11"`,
		"1e3":                 `"1e3"`,
		"1234E56":             `"1234E56"`,
		"1.5e-3":              `"1.5e-3"`,
		"12:30":               `"12:30"`,
		"12:30:45.5":          `"12:30:45.5"`,
		"2024-01-01":          `"2024-01-01"`,
		"2024-1-1T10:00:00Z":  `"2024-1-1T10:00:00Z"`,
		"true":                `"true"`,
		"False":               `"False"`,
		"on":                  `"on"`,
		"NO":                  `"NO"`,
		"y":                   `"y"`,
		"null":                `"null"`,
		"Null":                `"Null"`,
		"~":                   `"~"`,
		".5":                  `".5"`,
		".inf":                `".inf"`,
		"-1":                  `"-1"`,
		"+1":                  `"+1"`,
		"-a":                  `"-a"`,
		"---":                 `"---"`,
		"<<":                  `"<<"`,
		"=":                   `"="`,
		"a:":                  `"a:"`,
		"a#b":                 `"a#b"`,
		"a,b":                 `"a,b"`,
		"[a]":                 `"[a]"`,
		"*a":                  `"*a"`,
		"@a":                  `"@a"`,
		`it's "\`:             `"it's \"\\"`,
		"sha256:0123":         "sha256:0123",
		"app:1.0@sha256:0123": "app:1.0@sha256:0123",
	}
	for tag, want := range tests {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			if got := write(tag, &yaml.Node{}); got != want {
				t.Errorf("%q is written as %s, want %s", tag, got, want)
			}
			for _, around := range []string{"%s", "a: %s # x", "{a: %s, b: c}", "[%s]"} {
				checkReads(t, around, write(tag, &yaml.Node{}), tag)
			}
		})
	}
}

func TestSetKeepsQuotes(t *testing.T) {
	t.Parallel()
	const value = `it's"\`
	tests := map[string]struct {
		style yaml.Style
		want  string
	}{
		"single":            {yaml.SingleQuotedStyle, `'it''s"\'`},
		"double":            {yaml.DoubleQuotedStyle, `"it's\"\\"`},
		"single with a tag": {yaml.SingleQuotedStyle | yaml.TaggedStyle, `'it''s"\'`},
		"none":              {0, `"it's\"\\"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := write(value, &yaml.Node{Style: tc.style}); got != tc.want {
				t.Errorf("written as %s, want %s", got, tc.want)
			}
			checkReads(t, "[%s]", tc.want, value)
		})
	}
	if got := write("1.10", &yaml.Node{Style: yaml.TaggedStyle, Tag: "!!str"}); got != "1.10" {
		t.Errorf("a tagged string is written as %s", got)
	}
}
