package verb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/kinds"
)

// holding is a cluster that has some objects, as documents of YAML, and no others. Those that are
// named by their paths may not be read.
func holding(t *testing.T, documents string, hidden ...string) *answers {
	t.Helper()
	a := everyKind()
	plurals := map[string]string{"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "Event": "events"}
	var core []any
	for kind, plural := range plurals {
		core = append(core, map[string]any{"name": plural, "kind": kind, "namespaced": true, "verbs": []string{"get", "list", "watch"}})
	}
	a.by["/api/v1"] = map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": core}
	for _, k := range kinds.All() {
		plurals[k.GVK.Kind] = k.Plural
	}
	type list struct{ path, version, kind string }
	lists := make(map[list][]any)
	for _, namespace := range []string{"", "/namespaces/flux-system"} { // which may be empty
		for _, k := range kinds.All() {
			version := k.GVK.GroupVersion().String()
			lists[list{"/apis/" + version + namespace + "/" + k.Plural, version, k.GVK.Kind}] = []any{}
		}
		lists[list{"/api/v1" + namespace + "/events", "v1", "Event"}] = []any{}
	}
	for document := range strings.SplitSeq(documents, "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &obj.Object); err != nil {
			t.Fatal(err)
		}
		if obj.Object == nil {
			continue
		}
		version, plural := obj.GetAPIVersion(), plurals[obj.GetKind()]
		root := "/apis/" + version
		if version == "v1" {
			root = "/api/v1"
		}
		within := root + "/namespaces/" + obj.GetNamespace() + "/" + plural
		a.by[within+"/"+obj.GetName()] = obj.Object
		for _, path := range []string{within, root + "/" + plural} {
			l := list{path, version, obj.GetKind()}
			lists[l] = append(lists[l], obj.Object)
		}
	}
	for l, items := range lists {
		a.by[l.path] = map[string]any{"apiVersion": l.version, "kind": l.kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items}
	}
	for _, path := range hidden {
		a.by[path] = refused("you may not read " + path)
	}
	return a
}

// repository is a clone with one commit of some files, and that commit.
func repository(t *testing.T, files map[string]string) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := gogit.PlainInit(dir, false); err != nil {
		t.Fatal(err)
	}
	return dir, commitTo(t, dir, files)
}

// commitTo writes files into a clone, and returns the commit of them.
func commitTo(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	repo, err := gogit.PlainOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	who := &object.Signature{Name: "Ann", Email: "ann@example.com", When: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	hash, err := tree.Commit("Change them", &gogit.CommitOptions{Author: who, Committer: who})
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// apps is a Kustomization that has applied a commit, of which part of the spec is given.
func apps(commit, spec string) string {
	return `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
status: {lastAppliedRevision: "main@sha1:` + commit + `", inventory: {entries: [{id: flux-system_app__ConfigMap, v: v1}]}}
spec:
  path: .
  sourceRef: {kind: GitRepository, name: fleet}
` + spec
}

// appliedBy is the label of what a Kustomization has applied, or a HelmRelease.
func appliedBy(group, name string) string {
	return "{" + group + ".toolkit.fluxcd.io/name: " + name + ", " + group + ".toolkit.fluxcd.io/namespace: flux-system}"
}

// app is a ConfigMap that an applier has labelled, and its controller and kubectl have written.
func app(labels, controller, data string) string {
	owned := ""
	for line := range strings.Lines(data) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		owned += `"f:` + key + `": {}, `
	}
	return `apiVersion: v1
kind: ConfigMap
metadata:
  name: app
  namespace: flux-system
  labels: ` + labels + `
  managedFields:
  - {manager: ` + controller + `, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {` + owned + `}}}
  - {manager: kubectl, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {` + owned + `}}}
data:
` + data
}

const (
	fleet = "\n---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, namespace: flux-system}\nspec: {url: 'http://127.0.0.1:1/fleet.git'}\n"
	// sealed is the value of the ConfigMaps and Secrets that must not be told.
	sealed = "aHVudGVyMg==" // hunter2
)

// values returns the values of fields in the columns of a table, without those that are the same
// for each manager.
func values(t *testing.T, table string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for line := range strings.Lines(table) {
		cells := strings.Fields(line)
		if before, again := out[cells[0]]; again && before != cells[1] {
			t.Errorf("%s is %s to one manager, and %s to another", cells[0], before, cells[1])
		}
		out[cells[0]] = cells[1]
	}
	return out
}

// TestBlameKeepsSecrets: what is from Secrets, or encrypted in the source, is not told, whoever
// else owns the field, and where nobody can tell whether it is.
func TestBlameKeepsSecrets(t *testing.T) {
	t.Parallel()
	byApps, byWeb := appliedBy("kustomize", "apps"), appliedBy("helm", "web")
	const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata:\n"
	const encrypted = `"ENC[AES256_GCM,data:x,type:str]"`
	const seal = "sops: {mac: " + encrypted + "}\n"
	const decrypting = "  decryption: {provider: sops}\n"
	const substituting = "  postBuild: {substitute: {plain: hello}, substituteFrom: [{kind: Secret, name: login}, {kind: ConfigMap, name: colours}]}\n"
	secret := "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: flux-system}\ndata: {password: " + sealed + ", flag: b24=}\n"
	colours := "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours, namespace: flux-system}\ndata: {colour: green}\n"
	release := func(spec string) string {
		return "\n---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: flux-system, labels: " + byApps + "}\nspec:\n" + spec
	}
	const valuesFrom = "  valuesFrom: [{kind: Secret, name: values}]\n"
	secretValues := "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: values, namespace: flux-system}\ndata: {values.yaml: cGFzc3dvcmQ6IGh1bnRlcjIK}\n" // password: hunter2
	const secretPath = "/api/v1/namespaces/flux-system/secrets/"
	chartData := "  password: hunter2\n  url: postgres://u:hunter2@db\n  fixed: always\n"
	tests := map[string]struct {
		why     string
		files   map[string]string // none: the repository cannot be read
		spec    string            // of the Kustomization
		objects string
		data    string // of the ConfigMap
		release bool   // applies the ConfigMap
		hidden  []string
		want    map[string]string
		said    string
	}{
		"encrypted": {
			files: map[string]string{"app.yaml": settings + "  password: " + encrypted + "\n  size: small\n" + seal}, spec: decrypting,
			data: "  password: hunter2\n  size: small\n", want: map[string]string{"data.password": "***", "data.size": `"small"`},
		},
		"perhaps encrypted": {
			why: "nobody can tell which is", spec: decrypting, data: "  password: hunter2\n",
			want: map[string]string{"data.password": "***"}, said: "fetching commit",
		},
		"not encrypted": {data: "  size: small\n", want: map[string]string{"data.size": `"small"`}, said: "fetching commit"},
		"of a Kustomization that is hidden": {
			data: "  password: hunter2\n", hidden: []string{"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/apps"},
			want: map[string]string{"data.password": "***"}, said: "Kustomization/flux-system/apps has set it, and may not be read",
		},
		"a variable of a Secret": {
			files: map[string]string{"app.yaml": settings + "  password: ${password}\n  part: u:${password}@db\n  flag: is_${flag}\n  colour: ${colour}\n  plain: ${plain}\n  size: small\n"},
			spec:  substituting, objects: secret + colours,
			data: "  password: hunter2\n  part: u:hunter2@db\n  flag: is_on\n  colour: green\n  plain: hello\n  size: small\n",
			want: map[string]string{
				"data.password": "***", "data.part": "***", "data.flag": "***", "data.colour": `"green"`, "data.plain": `"hello"`, "data.size": `"small"`,
			},
		},
		"a variable of a Secret that is hidden": {
			files: map[string]string{"app.yaml": settings + "  password: ${password}\n  plain: ${plain}\n  size: small\n"},
			spec:  substituting, objects: secret + colours, hidden: []string{secretPath + "login"},
			data: "  password: hunter2\n  plain: hello\n  size: small\n",
			want: map[string]string{"data.password": "***", "data.plain": `"hello"`, "data.size": `"small"`}, said: "what may be of Secret flux-system/login is ***",
		},
		"a variable, and no source": {
			spec: substituting, objects: secret + colours, data: "  password: hunter2\n  size: small\n",
			want: map[string]string{"data.password": `"***"`, "data.size": `"small"`}, said: "fetching commit",
		},
		"a value that is encrypted": {
			why:   "templates write it into others",
			files: map[string]string{"web.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: flux-system}\nspec: {values: {password: " + encrypted + "}}\n" + seal},
			spec:  decrypting, objects: release("  values: {password: hunter2}\n"), release: true,
			data: chartData, want: map[string]string{"data.password": "***", "data.url": `"postgres://u:***@db"`, "data.fixed": `"always"`},
		},
		"a value that may be encrypted": {
			spec: decrypting, objects: release("  values: {password: hunter2}\n"), release: true,
			data: chartData, want: map[string]string{"data.password": "***", "data.url": `"postgres://u:***@db"`, "data.fixed": `"always"`}, said: "fetching commit",
		},
		"a value by a variable": {
			files: map[string]string{"web.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: flux-system}\nspec: {values: {password: \"${password}\"}}\n"},
			spec:  substituting, objects: release("  values: {password: hunter2}\n") + secret + colours, release: true,
			data: chartData, want: map[string]string{"data.password": "***", "data.url": `"postgres://u:***@db"`, "data.fixed": `"always"`},
		},
		"a value of a Secret": {
			objects: release(valuesFrom) + secretValues, release: true,
			data: chartData, want: map[string]string{"data.password": `"***"`, "data.url": `"postgres://u:***@db"`, "data.fixed": `"always"`},
		},
		"a value of a Secret that is hidden": {
			why: "nobody can tell what else is of it", objects: release(valuesFrom+"  values: {fixed: always}\n") + secretValues, release: true, hidden: []string{secretPath + "values"},
			data: chartData, want: map[string]string{"data.password": "***", "data.url": "***", "data.fixed": `"always"`}, said: "what may be of Secret flux-system/values is ***",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"blame", "configmap/app", "data", "--no-header"}
			commit := strings.Repeat("0", 40)
			if tc.files != nil {
				var dir string
				dir, commit = repository(t, tc.files)
				args = append(args, "--repo", dir)
			}
			labels, controller := byApps, "kustomize-controller"
			if tc.release {
				labels, controller = byWeb, "helm-controller"
			}
			code, out, said := weir(t, holding(t, apps(commit, tc.spec)+fleet+"\n---\n"+app(labels, controller, tc.data)+tc.objects, tc.hidden...), args...)
			if code != 0 || strings.Contains(out+said, "hunter2") || !strings.Contains(said, tc.said) || tc.said == "" && said != "" {
				t.Errorf("ended with %d, printed\n%s and said %q; want 0, %q, and no secret (%s)", code, out, said, tc.said, tc.why)
			}
			if diff := cmp.Diff(tc.want, values(t, out)); diff != "" {
				t.Errorf("values (-want +got): %s\n%s", tc.why, diff)
			}
		})
	}
}
