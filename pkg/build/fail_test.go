package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
)

// failure is a tree, in the form of txtar, that cannot be built.
type failure struct {
	why  string
	tree string
	spec Spec // builds app, unless it says otherwise
	want string
}

func checkFailures(t *testing.T, failures map[string]failure) {
	t.Helper()
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			if tc.spec.Path == "" {
				tc.spec.Path = "app"
			}
			src := treeOf(tc.tree)
			got, err := Run(src, tc.spec, nil)
			if err == nil || err.Error() != tc.want {
				t.Errorf("Run() = %v\nwant    %s (%s)", err, tc.want, tc.why)
			}
			if strings.HasPrefix(tc.want, "kustomization path") != errors.Is(err, ErrPath) {
				t.Errorf("errors.Is(%v, ErrPath) = %v", err, errors.Is(err, ErrPath))
			}
			if got.Objects != nil || !got.Reads.Unchanged(src) {
				t.Errorf("after a failure: %d objects, reads %q", len(got.Objects), got.Reads.Paths())
			}
		})
	}
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n"

func TestPathErrors(t *testing.T) {
	tree := "-- app/cm.yaml --\n" + configMap
	checkFailures(t, map[string]failure{
		"missing":      {why: "the usual mistake", tree: tree, spec: Spec{Path: "./apps"}, want: "kustomization path not found: apps"},
		"below a file": {why: "also missing", tree: tree, spec: Spec{Path: "app/cm.yaml/x"}, want: "kustomization path not found: app/cm.yaml/x"},
		"a file": {
			why: "kustomize takes directories only", tree: tree, spec: Spec{Path: "app/cm.yaml"},
			want: "kustomization path not found: app/cm.yaml is a file, name the directory that it is in",
		},
		"climbs out": {
			why: "the path is clamped, which would puzzle its author", tree: tree, spec: Spec{Path: "../other/app"},
			want: `kustomization path not found: other/app, for "../other/app" climbs out of the source and ends at its root`,
		},
	})
}

func TestReferenceErrors(t *testing.T) {
	checkFailures(t, map[string]failure{
		"missing resource": {
			why:  "the line of the entry helps in a long list",
			tree: "-- app/kustomization.yaml --\nresources:\n- cm.yaml\n- gone.yaml\n-- app/cm.yaml --\n" + configMap,
			want: `app/kustomization.yaml:3: resources[1] "gone.yaml" does not exist`,
		},
		"missing file of a base": {
			why:  "the base is to blame",
			tree: "-- app/kustomization.yaml --\nresources: [../base]\n-- base/kustomization.yaml --\npatches:\n- path: gone.yaml\n",
			want: `base/kustomization.yaml:2: patches[0].path "gone.yaml" does not exist`,
		},
		"missing file of a generator": {
			why:  "kustomize names no file here",
			tree: "-- app/kustomization.yaml --\nsecretGenerator:\n- name: x\n  files:\n  - key=gone.txt\n",
			want: `app/kustomization.yaml:4: secretGenerator[0].files[0] "gone.txt" does not exist`,
		},
		"missing component of the spec": {
			why:  "it is in the Kustomization, not in a file",
			tree: "-- app/cm.yaml --\n" + configMap, spec: Spec{Components: []string{"../gone"}},
			want: `spec.components[0] "../gone" does not exist`,
		},
		"component of the spec that is a file": {
			why:  "it is not missing",
			tree: "-- app/cm.yaml --\n" + configMap, spec: Spec{Components: []string{"cm.yaml"}, IgnoreMissingComponents: true},
			want: `spec.components[0] "cm.yaml" is a file: name the directory of the component`,
		},
		"component of the spec that climbs out": {
			why:  "it could not exist",
			tree: "-- app/cm.yaml --\n" + configMap, spec: Spec{Components: []string{"../../gone"}, IgnoreMissingComponents: true},
			want: `spec.components[0] "../../gone" climbs out of the source: it must stay below its root`,
		},
		"missing component of the source": {
			why:  "only those of the spec may be missing",
			tree: "-- app/kustomization.yaml --\ncomponents: [../gone]\n", spec: Spec{IgnoreMissingComponents: true},
			want: `app/kustomization.yaml:1: components[0] "../gone" does not exist`,
		},
		"empty entry": {
			why:  "kustomize says: new root cannot be empty",
			tree: "-- app/kustomization.yaml --\nresources: ['']\n",
			want: `app/kustomization.yaml:1: resources[0] "" is empty: name a file or a directory`,
		},
		"absolute": {
			why:  "there is no such place",
			tree: "-- app/kustomization.yaml --\nresources: [/etc/passwd]\n",
			want: `app/kustomization.yaml:1: resources[0] "/etc/passwd" is absolute: write it relative to the kustomization file`,
		},
		"climbs out": {
			why:  "also where it would come back in",
			tree: "-- app/kustomization.yaml --\nresources: [../../app/cm.yaml]\n-- app/cm.yaml --\n" + configMap,
			want: `app/kustomization.yaml:1: resources[0] "../../app/cm.yaml" climbs out of the source: it must stay below its root`,
		},
		"directory without a kustomization": {
			why:  "only the path of the spec gets one generated",
			tree: "-- app/kustomization.yaml --\nresources: [../base]\n-- base/cm.yaml --\n" + configMap,
			want: `app/kustomization.yaml:1: resources[0] "../base" is a directory without a kustomization file: add one, or list its files`,
		},
		"empty base": {
			why:  "kustomize refuses it below the path",
			tree: "-- app/kustomization.yaml --\nresources: [../base]\n-- base/kustomization.yaml --\n",
			want: `app/kustomization.yaml:1: resources[0] "../base" is an empty kustomization: list its resources, or remove the entry`,
		},
		"patch is a directory": {
			why:  "it must be read",
			tree: "-- app/kustomization.yaml --\npatches: [{path: dir}]\n-- app/dir/cm.yaml --\n" + configMap,
			want: `app/kustomization.yaml:1: patches[0].path "dir" is a directory: name a file`,
		},
	})
}

func TestComponentErrors(t *testing.T) {
	checkFailures(t, map[string]failure{
		"component is a file": {
			why:  "they are directories",
			tree: "-- app/kustomization.yaml --\ncomponents: [cm.yaml]\n-- app/cm.yaml --\n" + configMap,
			want: `app/kustomization.yaml:1: components[0] "cm.yaml" is a file: name the directory of the component`,
		},
		"component as a resource": {
			why:  "kustomize keeps them apart",
			tree: "-- app/kustomization.yaml --\nresources: [../c]\n-- c/kustomization.yaml --\nkind: Component\nnamePrefix: x-\n",
			want: `app/kustomization.yaml:1: resources[0] "../c" is a Component: move it to components`,
		},
		"component below a generated kustomization": {
			why:  "there is no file to name",
			tree: "-- app/c/kustomization.yaml --\nkind: Component\nnamePrefix: x-\n",
			want: `app: resources[0] "./c" is a Component: move it to components`,
		},
		"kustomization as a component": {
			why:  "kustomize keeps them apart",
			tree: "-- app/cm.yaml --\n" + configMap + "-- c/kustomization.yaml --\nnamePrefix: x-\n", spec: Spec{Components: []string{"../c"}},
			want: `spec.components[0] "../c" is not a Component: move it to resources`,
		},
	})
}

func TestCycleErrors(t *testing.T) {
	checkFailures(t, map[string]failure{
		"cycle of itself": {
			why:  "kustomize would say so, without the file",
			tree: "-- app/kustomization.yaml --\nresources: [.]\n",
			want: `app/kustomization.yaml:1: resources[0] "." makes a cycle: app -> app`,
		},
		"cycle of three": {
			why:  "the way around it is what one looks for",
			tree: "-- app/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../c]\n-- c/kustomization.yaml --\nresources: [../app]\n",
			want: `c/kustomization.yaml:1: resources[0] "../app" makes a cycle: app -> b -> c -> app`,
		},
		"a directory above": {
			why:  "kustomize takes that for a cycle too",
			tree: "-- app/kustomization.yaml --\nresources: [..]\n-- kustomization.yaml --\nnamePrefix: x-\n",
			want: `app/kustomization.yaml:1: resources[0] ".." makes a cycle: app -> .`,
		},
		"cycle from one side": {
			why:  "from the other side it was none, so kustomize finds this one",
			tree: "-- app/kustomization.yaml --\nresources: [../x, ../a/b]\n-- x/kustomization.yaml --\nresources: [../a]\n-- a/kustomization.yaml --\nnamePrefix: x-\n-- a/b/kustomization.yaml --\nresources: [../../x]\n",
			want: `x/kustomization.yaml: cycle detected: candidate root 'a' contains visited root 'a/b'`,
		},
	})
}

func TestKustomizationErrors(t *testing.T) {
	checkFailures(t, map[string]failure{
		"unknown field": {
			why:  "a typo must not be ignored",
			tree: "-- app/kustomization.yaml --\nresources: []\npatches:\n- path: x\n  traget: {}\n",
			want: `app/kustomization.yaml:4: unknown field "traget": kustomize has no such field here, correct or remove it`,
		},
		"wrong type": {
			why:  "the decoder speaks of Go",
			tree: "-- app/kustomization.yaml --\nnamePrefix: x-\nresources: cm.yaml\n",
			want: `app/kustomization.yaml:2: resources is of the wrong type: it must not be of type string`,
		},
		"no YAML": {
			why:  "the line is of the file",
			tree: "-- app/kustomization.yaml --\nresources:\n- a\n - b: c: d\n",
			want: `app/kustomization.yaml:3: invalid YAML: mapping values are not allowed in this context`,
		},
		"no mapping": {
			why:  "it parses, as text",
			tree: "-- app/kustomization.yaml --\n\nresources\n",
			want: `app/kustomization.yaml:2: not a kustomization: it must be a mapping of fields`,
		},
		"of another kind": {
			why:  "a Flux Kustomization is often put there by mistake",
			tree: "-- app/kustomization.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x}\n",
			want: `app/kustomization.yaml:1: the apiVersion is "kustomize.toolkit.fluxcd.io/v1": for a Kustomization of kustomize it must be kustomize.config.k8s.io/v1beta1`,
		},
		"of no kind of kustomize": {
			why:  "any object",
			tree: "-- app/kustomization.yaml --\napiVersion: v1\nkind: ConfigMap\n",
			want: `app/kustomization.yaml:2: the kind is "ConfigMap": it must be Kustomization or Component`,
		},
		"two files": {
			why:  "which one is meant?",
			tree: "-- app/kustomization.yaml --\n-- app/Kustomization --\n",
			want: `app: there are two kustomization files, kustomization.yaml and Kustomization: keep one`,
		},
		"Helm charts": {
			why:  "that would start the helm command",
			tree: "-- app/kustomization.yaml --\nhelmCharts: [{name: x, repo: https://example.invalid}]\n",
			want: `app/kustomization.yaml:1: Helm charts are not rendered in a build: release them with a HelmRelease`,
		},
		"plugins that are altered": {
			why:  "a patch could make their paths anything",
			tree: "-- app/kustomization.yaml --\ntransformers: [p]\n-- app/p/kustomization.yaml --\nresources: [t.yaml]\nnamePrefix: x-\n-- app/p/t.yaml --\n" + configMap,
			want: `app/kustomization.yaml:1: transformers[0] "p" changes configurations of plugins: its kustomization file may only have resources`,
		},
		"Helm plugin": {
			why:  "that would start the helm command",
			tree: "-- app/kustomization.yaml --\ngenerators: [h.yaml]\n-- app/h.yaml --\napiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: h}\nname: h\n",
			want: `app/h.yaml: HelmChartInflationGenerator "h": Helm charts are not rendered in a build: release them with a HelmRelease`,
		},
		"exec plugin": {
			why:  "no build starts a process",
			tree: "-- app/kustomization.yaml --\ngenerators: [g.yaml]\n-- app/g.yaml --\napiVersion: x.example.com/v1\nkind: Gen\nmetadata: {name: g, annotations: {config.kubernetes.io/function: 'exec: {path: ./run.sh}'}}\n",
			want: `app/g.yaml: Gen "g" is not a plugin that comes with kustomize: no others run in a build`,
		},
		"value of a literal": {
			why:  "kustomize repeats it",
			tree: "-- app/kustomization.yaml --\nsecretGenerator:\n- {name: x, literals: [hunter2]}\n",
			want: `app/kustomization.yaml: loading KV pairs: literal sources [***]: invalid literal source ***, expected key=value`,
		},
	})
}

func TestDocumentErrors(t *testing.T) {
	const hint = ", correct it, or leave the file out of the source"
	checkFailures(t, map[string]failure{
		"no YAML": {
			why:  "the line is of the file, not of the document; the values are secret",
			tree: "-- app/s.yaml --\n" + configMap + "---\nkind: Secret\nstringData:\n  password: hunter2\n   x: y: z\n",
			want: "app/s.yaml:8: invalid YAML: mapping values are not allowed in this context",
		},
		"a tab": {
			why:  "the parser names the line at which the block begins",
			tree: "-- app/t.yaml --\n" + configMap + "---\nkind: ConfigMap\n\tmetadata: x\n",
			want: "app/t.yaml:6: invalid YAML: found a tab character that violates indentation",
		},
		"a list in a mapping": {
			why:  "the parser names the line before",
			tree: "-- app/l.yaml --\nkind: ConfigMap\n- x\n",
			want: "app/l.yaml:2: invalid YAML: did not find expected key",
		},
		"an unknown anchor": {
			why:  "the parser names no line",
			tree: "-- app/a.yaml --\nkind: ConfigMap\nmetadata: {name: a}\ndata: *gone\n",
			want: "app/a.yaml:3: invalid YAML: unknown anchor 'gone' referenced",
		},
		"no object":   {why: "Helm values, for instance", tree: "-- app/values.yaml --\n\nimage: x\n", want: "app/values.yaml:2: not a Kubernetes object: it has no kind" + hint},
		"a list":      {why: "a patch, for instance", tree: "-- app/p.yaml --\n- a\n", want: "app/p.yaml:1: not a Kubernetes object: it is a list" + hint},
		"text":        {why: "a template, for instance", tree: "-- app/t.yaml --\nhunter2\n", want: "app/t.yaml:1: not a Kubernetes object: it is a single value" + hint},
		"no metadata": {why: "a kustomization under another name", tree: "-- app/k.yaml --\nkind: Kustomization\n", want: "app/k.yaml:1: not a Kubernetes object: it has no metadata" + hint},
		"no name":     {why: "generateName cannot be applied", tree: "-- app/k.yaml --\nkind: Job\nmetadata: {generateName: x-}\n", want: "app/k.yaml:1: not a Kubernetes object: it has no metadata.name" + hint},
		"empty name":  {why: "an unset variable", tree: "-- app/k.yaml --\nkind: Job\nmetadata: {name: ''}\n", want: "app/k.yaml:1: not a Kubernetes object: it has no metadata.name" + hint},
		"second document of a base": {
			why:  "the file is what counts",
			tree: "-- app/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [x.yaml]\n-- b/x.yaml --\n" + configMap + "---\n# more\nkind: Job\n",
			want: "b/x.yaml:6: not a Kubernetes object: it has no metadata" + hint,
		},
		"same key twice": {
			why:  "the later one would win in silence",
			tree: "-- app/cm.yaml --\n" + configMap + "---\n" + configMap + "data: {a: hunter2}\ndata: {a: b}\n",
			want: `app/cm.yaml:9: invalid YAML: mapping key "data" already defined at line 8`,
		},
		"text after a separator": {
			why:  "kustomize takes no more than a comment there",
			tree: "-- app/cm.yaml --\n" + configMap + "--- hunter2\n" + strings.Replace(configMap, "cm", "cn", 1),
			want: "app/cm.yaml: not a list of Kubernetes objects: invalid document separator",
		},
		"defined twice": {
			why:  "both places are needed to decide",
			tree: "-- app/a.yaml --\n" + configMap + "-- app/b.yaml --\n" + strings.Replace(configMap, "cm", "cn", 1) + "---\n" + configMap,
			want: "app/b.yaml:5: ConfigMap cm is already defined in app/a.yaml:1: keep one, or rename one",
		},
		"defined twice in a file": {
			why:  "kustomize says that the file is no directory",
			tree: "-- app/a.yaml --\n" + configMap + "---\n" + configMap,
			want: "app/a.yaml:5: ConfigMap cm is already defined in app/a.yaml:1: keep one, or rename one",
		},
		"included twice": {
			why:  "there is one definition",
			tree: "-- app/kustomization.yaml --\nresources: [a.yaml, ../b]\n-- app/a.yaml --\n" + strings.Replace(configMap, "cm", "cn", 1) + "-- b/kustomization.yaml --\nresources: [cm.yaml, ../c]\n-- b/cm.yaml --\n" + configMap + "-- c/kustomization.yaml --\nresources: [../b/cm.yaml]\n",
			want: "b/cm.yaml:1: ConfigMap cm is in the build more than once: remove a resource that includes it again, or what generates the same",
		},
		"generated twice": {
			why:  "no file defines it",
			tree: "-- app/kustomization.yaml --\nresources: [../b]\nsecretGenerator: [{name: x, literals: [a=hunter2]}]\n-- b/kustomization.yaml --\nsecretGenerator: [{name: x, literals: [a=hunter3]}]\n",
			want: "app/kustomization.yaml: merging from generator Secret x exists; can not use behavior: 'unspecified', behavior must be merge or replace",
		},
		"ambiguous reference": {
			why: "kustomize prints all the objects",
			tree: `-- app/kustomization.yaml --
resources: [role.yaml]
secretGenerator:
- {name: c, namespace: one, literals: [a=hunter2]}
- {name: c, namespace: two, literals: [a=hunter3]}
-- app/role.yaml --
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: role}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [c]}]
`,
			want: "app/kustomization.yaml: updating name reference in 'rules/resourceNames' field of 'ClusterRole.v1.rbac.authorization.k8s.io/role.[noNs]': considering field 'rules/resourceNames' of object ClusterRole.v1.rbac.authorization.k8s.io/role.[noNs]: visit traversal on path: [resourceNames]: found multiple possible referrals: Secret.v1.[noGrp]/c-892t7cd54b.one, Secret.v1.[noGrp]/c-744m8m77gg.two",
		},
		"one by a namespace": {
			why:  "kustomize prints both objects",
			tree: "-- app/s.yaml --\n" + strings.ReplaceAll("kind: Secret\napiVersion: v1\nmetadata: {name: s, namespace: NS}\nstringData: {p: hunter2}\n", "NS", "a") + "---\nkind: Secret\napiVersion: v1\nmetadata: {name: s, namespace: b}\n",
			spec: Spec{TargetNamespace: "shop"},
			want: "app/s.yaml:6: the namespace that is set for all makes one object of this and app/s.yaml:1, both are Secret s: rename one",
		},
	})
}

func TestPatchErrors(t *testing.T) {
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
	tree := "-- app/kustomization.yaml --\nnamePrefix: x-\nresources: [s.yaml]\npatches:\n- patch: |\n"
	rest := "-- app/s.yaml --\n" + secret
	checkFailures(t, map[string]failure{
		"no YAML": {
			why:  "kustomize repeats the patch",
			tree: tree + "    password: hunter2\n    x: [\n" + rest,
			want: "app/kustomization.yaml:4: patches[0]: the patch cannot be read: line 2: invalid YAML: did not find expected node content",
		},
		"neither form": {
			why:  "kustomize repeats the patch",
			tree: tree + "    stringData: {password: hunter3}\n" + rest,
			want: "app/kustomization.yaml:4: patches[0]: the patch cannot be read: it is neither an object with kind and metadata.name, nor a list of operations",
		},
		"no YAML in a file": {
			why:  "the file is to blame",
			tree: "-- app/kustomization.yaml --\nresources: [s.yaml]\npatches: [{path: p.yaml}]\n-- app/p.yaml --\na: [\n" + rest,
			want: "app/p.yaml: the patch cannot be read: line 1: invalid YAML: did not find expected node content",
		},
		"no target": {
			why:  "the identity is how kustomize writes it",
			tree: tree + "    apiVersion: v1\n    kind: Secret\n    metadata: {name: t, namespace: n}\n    stringData: {p: hunter2}\n" + rest,
			want: "app/kustomization.yaml:4: patches[0]: there is no Secret t.n to patch: correct kind, name and namespace, or remove the patch",
		},
		"no target, of the spec": {
			why: "it is in the Kustomization, not in a file", tree: rest,
			spec: Spec{Patches: []kustomize.Patch{{Patch: "- {op: remove, path: /x}", Target: &kustomize.Selector{Name: "none"}}, {Patch: configMap}}},
			want: "spec.patches[1]: there is no ConfigMap cm to patch: correct kind, name and namespace, or remove the patch",
		},
		"operation that does not apply": {
			why:  "kustomize does not say of which patch",
			tree: rest, spec: Spec{Patches: []kustomize.Patch{{Patch: "- {op: replace, path: /data/x, value: hunter3}", Target: &kustomize.Selector{Kind: "Secret"}}}},
			want: "spec.patches[0]: the operation replace of /data/x does not apply: a target has no such path, or another value there",
		},
		"test that fails": {
			why:  "nor of which value",
			tree: rest, spec: Spec{Patches: []kustomize.Patch{{Patch: "- {op: test, path: /stringData/password, value: x}", Target: &kustomize.Selector{Kind: "Secret"}}}},
			want: "spec.patches[0]: the operation test of /stringData/password does not apply: a target has no such path, or another value there",
		},
		"value of another shape": {
			why:  "kustomize prints the node",
			tree: tree + "    apiVersion: v1\n    kind: Secret\n    metadata: {name: s}\n    stringData: {password: {x: hunter3}}\n" + rest,
			want: "app/kustomization.yaml: wrong node kind: expected ScalarNode but got MappingNode",
		},
	})
}
