package build

import (
	"fmt"
	"strings"
	"testing"
)

// Each of these trees ends the process, or takes it over, if kustomize gets to see it.
func TestAliasGuards(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := range 6 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 8))
	}
	checkFailures(t, map[string]failure{
		"alias of itself": {
			why: "the stack overflows", tree: object("data: &d\n  x: *d\n"),
			want: `app/x.yaml:1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias of itself, in a second document": {
			why: "each document is expanded", tree: object("---\nx: &d {y: {z: *d}}\n"),
			want: `app/x.yaml:5: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"aliases that multiply": {
			why: "the memory runs out", tree: object(bomb.String()),
			want: `app/x.yaml:1: with its YAML aliases replaced, the document has more than 200000 values: split it`,
		},
		"alias in a patch": {
			why: "patches are expanded as well", tree: overlay("patches:\n- patch: |\n\n    x: &d {y: *d}\n"),
			want: `app/kustomization.yaml: patches[0].patch:1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias in a patch that is indented": {
			why: "kustomize trims patches, which makes YAML of this", tree: overlay("patches:\n- patch: \"  kind: x\\ny: &d {y: *d}\"\n"),
			want: `app/kustomization.yaml: patches[0].patch:1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias in a legacy patch": {
			why: "this may be text as well", tree: overlay("patchesStrategicMerge:\n- |\n  x: &d {y: *d}\n"),
			want: `app/kustomization.yaml: patchesStrategicMerge[0]:1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias in a plugin": {
			why: "this may be text as well", tree: overlay("transformers:\n- |\n  x: &d {y: *d}\n"),
			want: `app/kustomization.yaml: transformers[0]:1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias in a patch of a plugin": {
			why: "YAML in YAML in YAML", tree: overlay("transformers: [p.yaml]\n") + "-- app/p.yaml --\n{apiVersion: builtin, kind: PatchTransformer, metadata: {name: p}, patch: 'x: &d {y: *d}'}\n",
			want: `app/p.yaml: PatchTransformer "p":1: the YAML anchor "d" contains itself: write out what it stands for`,
		},
		"alias in the kustomization": {
			why: "another decoder, with a check", tree: "-- app/kustomization.yaml --\nresources: &d [*d]\n",
			want: `app/kustomization.yaml: invalid Kustomization: yaml: anchor 'd' value contains itself`,
		},
	})
}

func TestGuards(t *testing.T) {
	const exits = "the object has what JSON has not: .nan, .inf, or a key that is not a string"
	var copies strings.Builder
	for i := range 40 {
		fmt.Fprintf(&copies, "    - {op: copy, from: /data, path: /data/b%d}\n", i)
	}
	checkFailures(t, map[string]failure{
		"no number":             {why: "the process exits", tree: object("x: .nan\n"), want: "app/x.yaml:1: " + exits},
		"endless number":        {why: "the process exits", tree: object("x: [-.inf]\n"), want: "app/x.yaml:1: " + exits},
		"number as a key":       {why: "the process exits", tree: object("data: {x: {1: a}}\n"), want: "app/x.yaml:1: " + exits},
		"no number, in a patch": {why: "the process exits", tree: overlay("patches:\n- patch: |\n    kind: x\n    x: .nan\n"), want: "app/kustomization.yaml: patches[0].patch:1: " + exits},
		"schema of itself": {
			why: "kustomize runs in a circle", tree: overlay("openapi: {path: o.json}\n") + `-- app/o.json --
{"definitions": {"A": {"properties": {"x": {"$ref": "#/definitions/B~1C"}}}, "B/C": {"$ref": "#/definitions/D%45"}, "DE": {"$ref": "#/definitions/B~1C"}}}
`,
			want: `app/o.json: the schema has a $ref that leads back to itself: #/definitions/B~1C`,
		},
		"types of themselves": {
			why: "the stack overflows", tree: overlay("crds: [c.json]\n") + `-- app/c.json --
{"x.A": {"Schema": {"properties": {"kind": {}, "apiVersion": {}, "metadata": {}, "spec": {"$ref": "x.B"}}}}, "x.B": {"Schema": {"properties": {"child": {"$ref": "x.B"}}}}}
`,
			want: `app/c.json: the type x.B contains itself, which kustomize cannot follow: leave out the property that refers to it`,
		},
		"no types": {
			why: "kustomize panics", tree: overlay("crds: [c.json]\n") + "-- app/c.json --\n",
			want: `app/kustomization.yaml: kustomize cannot build this: runtime error: index out of range [0] with length 0`,
		},
		"no schema": {
			why: "kustomize panics", tree: overlay("openapi: {path: o.json}\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {a: b}}'}]\n") + "-- app/o.json --\n{]\n",
			want: `app/kustomization.yaml: kustomize cannot build this: invalid schema file: jsontext: invalid character ']' at start of value after offset 1`,
		},
		"copies of copies": {
			why:  "the memory runs out",
			tree: overlay("patches:\n- target: {kind: ConfigMap}\n  patch: |\n    - {op: add, path: /data, value: {a: 0123456789}}\n" + copies.String()),
			want: `app/kustomization.yaml: Unable to complete the copy, the accumulated size increase of copy is 11010415, exceeding the limit 8388608`,
		},
	})
}

// object is a tree of one object with more to it.
func object(rest string) string { return "-- app/x.yaml --\n" + configMap + rest }

// overlay is a tree of an object and a kustomization with more to it.
func overlay(text string) string {
	return "-- app/kustomization.yaml --\nresources: [cm.yaml]\n" + text + "-- app/cm.yaml --\n" + configMap
}

func TestLimits(t *testing.T) {
	chain := map[string]string{"4/kustomization.yaml": "namePrefix: x-\n"}
	for i := range 4 {
		chain[fmt.Sprintf("%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../%d]\n", i+1)
	}
	ladder := map[string]string{"12/kustomization.yaml": "configMapGenerator: [{name: x}]\n"}
	for i := range 12 {
		next := fmt.Sprintf("../%d", i+1)
		ladder[fmt.Sprintf("%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [%sa, %sb]\n", next, next)
		for _, side := range []string{"a", "b"} {
			ladder[fmt.Sprintf("%d%s/kustomization.yaml", i+1, side)] = fmt.Sprintf("namePrefix: %s-\nresources: [%s]\n", side, next)
		}
	}
	two := map[string]string{"0/a.yaml": configMap + "---\n" + strings.Replace(configMap, "cm", "cn", 1)}
	tests := map[string]struct {
		why   string
		files map[string]string
		max   limits
		want  string
	}{
		"size of a file": {
			why: "it is not even read", files: two, max: limits{fileSize: 90, accesses: 9, depth: 9, objects: 9},
			want: "0/a.yaml: the file has 108 bytes, more than the limit of 90: split it, or leave it out of the source",
		},
		"depth": {
			why: "each level costs stack", files: chain, max: limits{fileSize: 90, accesses: 99, depth: 4, objects: 9},
			want: "4/kustomization.yaml: more than 4 kustomizations refer to one another in a row: flatten them",
		},
		"accesses": {
			why: "few files can make a build of thousands", files: ladder, max: limits{fileSize: 90, accesses: 100, depth: 50, objects: 9},
			want: "10b/kustomization.yaml: the build opened more than 100 files and directories: build a smaller path, or include shared bases fewer times",
		},
		"directories": {
			why: "a walk counts as well", files: map[string]string{"0/a/b/c/d": ""}, max: limits{fileSize: 90, accesses: 3, depth: 9, objects: 9},
			want: "0/a/b/c: the build opened more than 3 files and directories: build a smaller path, or include shared bases fewer times",
		},
		"objects": {
			why: "they are held in memory", files: two, max: limits{fileSize: 200, accesses: 9, depth: 9, objects: 1},
			want: "0: the build makes 2 objects, more than the limit of 1: build smaller paths",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			src := newMemory(tc.files)
			if _, err := run(src, Spec{Path: "0"}, nil, tc.max); err == nil || err.Error() != tc.want {
				t.Errorf("run() = %v\nwant    %s (%s)", err, tc.want, tc.why)
			}
			if name == "size of a file" && src.opened["0/a.yaml"] > 0 {
				t.Error("the file was read")
			}
		})
	}
}

// Whatever fails, what is in a Secret stays out of the error.
func TestSecretsStayOutOfErrors(t *testing.T) {
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {a: x}}\ndata: {k: aHVudGVyMg==}\nstringData: {password: hunter2}\n"
	for name, tree := range map[string]string{
		"patch of a wrong kind": "resources: [s.yaml]\npatches: [{patch: 'hunter2'}]",
		"replacement":           "resources: [s.yaml]\nreplacements: [{source: {kind: Secret, fieldPath: stringData.password.x}, targets: [{select: {kind: Secret}, fieldPaths: [data.k]}]}]",
		"replacement to a name": "resources: [s.yaml]\nreplacements: [{source: {kind: Secret, fieldPath: stringData.password, options: {delimiter: u, index: 7}}, targets: [{select: {kind: Secret}, fieldPaths: [data.k]}]}]",
		"labels that are none":  "resources: [s.yaml]\ncommonLabels: {a: b}\npatches: [{patch: '[{op: add, path: /metadata/labels, value: hunter2}]', target: {kind: Secret}}]",
		"generator of env":      "secretGenerator: [{name: x, envs: [env]}]",
		"generator of both":     "secretGenerator: [{name: x, literals: [a=hunter2, a=hunter2]}]",
		"generator merge":       "secretGenerator: [{name: x, behavior: merge, literals: [a=hunter2]}]",
		"generator of no name":  "secretGenerator: [{literals: [a=hunter2]}]",
		"two of one":            "resources: [s.yaml, t.yaml]",
		"var":                   "resources: [s.yaml]\nvars: [{name: X, objref: {kind: Secret, name: s, apiVersion: v1}, fieldref: {fieldpath: stringData.nope}}]",
		"json patch":            "resources: [s.yaml]\npatches: [{patch: '[{op: hunter2, path: /a, value: hunter2}]', target: {kind: Secret}}]",
		"no target":             "resources: [s.yaml]\npatches: [{patch: '[{op: add, path: /a, value: hunter2}]'}]",
		"patch of two":          "resources: [s.yaml]\npatches: [{path: two.yaml, target: {kind: Secret}}]",
		"patch and path":        "resources: [s.yaml]\npatches: [{path: two.yaml, patch: '{stringData: {a: hunter2}}'}]",
	} {
		t.Run(name, func(t *testing.T) {
			src := newMemory(map[string]string{
				"kustomization.yaml": tree, "s.yaml": secret, "t.yaml": secret, "two.yaml": secret + "---\n" + secret,
				"env": "GOOD=x\nhunter2\x00\xff=x\n",
			})
			_, err := Run(src, Spec{}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if text := err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") || strings.Contains(text, "\n") {
				t.Errorf("error %q", text)
			}
			if _, again := Run(src, Spec{}, nil); again.Error() != err.Error() {
				t.Errorf("two errors for one tree:\n%v\n%v", err, again)
			}
		})
	}
}
