package soak_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/gitserver"
)

const (
	// repositories is how many the applications are divided among.
	repositories = 4
	// spaces is how many namespaces objects are in.
	spaces = 4
	// most objects of an application.
	mostObjects = 8

	valueLabel = "soak.example.com/value"
	group      = "soak.example.com"
)

// fleet is what Git has: all that should be in the cluster.
type fleet struct {
	random *rand.Rand
	apps   []*app
}

// app is a Kustomization and the objects that it applies.
type app struct {
	name    string
	repo    int
	wait    bool
	after   string    // the application that it depends on; "" if none
	objects []*object // in the order in which they were added
	added   int       // so many ever
}

// object is one of an application. Its content follows from its value.
type object struct {
	kind  *kind
	space string // "" of what is in none
	name  string
	value int
}

// kind is one of those that applications consist of.
type kind struct {
	schema.GroupVersionKind
	clustered bool
	// content is what there is besides metadata.
	content func(o *object) map[string]any
	// edit is what somebody may change by hand, as a JSON merge patch.
	edit string
}

func kinds() []*kind {
	return []*kind{
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
			content: func(o *object) map[string]any {
				return map[string]any{"data": map[string]any{"value": fmt.Sprint(o.value), "name": o.name}}
			},
			edit: `{"data":{"value":"by-hand","more":"by-hand"}}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Secret"},
			content: func(o *object) map[string]any {
				return map[string]any{"type": "Opaque", "data": map[string]any{"value": []string{"b25l", "dHdv", "dGhyZWU="}[o.value%3]}}
			},
			edit: `{"data":{"value":"YnktaGFuZA=="}}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"},
			content:          func(*object) map[string]any { return nil },
			edit:             `{"metadata":{"labels":{"` + valueLabel + `":null}}}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Service"},
			content: func(o *object) map[string]any {
				return map[string]any{"spec": map[string]any{
					"selector": map[string]any{"app": o.name},
					"ports":    []any{map[string]any{"name": "http", "port": int64(80 + o.value%100)}},
				}}
			},
			edit: `{"spec":{"selector":{"app":"by-hand"}}}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
			content:          deployment,
			edit:             `{"spec":{"replicas":2}}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
			clustered:        true,
			content: func(o *object) map[string]any {
				return map[string]any{"rules": []any{map[string]any{
					"apiGroups": []any{""}, "resources": []any{"pods"}, "resourceNames": []any{fmt.Sprint("pod-", o.value)}, "verbs": []any{"get"},
				}}}
			},
			edit: `{"rules":[]}`,
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Thing"},
			content: func(o *object) map[string]any {
				return map[string]any{"spec": map[string]any{"size": int64(o.value)}}
			},
			edit: `{"spec":{"size":-1,"colour":"red"}}`,
		},
		{
			GroupVersionKind: helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
			content:          release,
			edit:             `{"spec":{"values":{"value":"by-hand"}}}`,
		},
	}
}

func deployment(o *object) map[string]any {
	labels := map[string]any{"app": o.name}
	return map[string]any{"spec": map[string]any{
		"replicas": int64(o.value % 2),
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels},
			"spec": map[string]any{"containers": []any{map[string]any{
				"name": "main", "image": fmt.Sprint("registry.example.com/main:", o.value),
				"ports": []any{map[string]any{"name": "http", "containerPort": int64(8080)}},
			}}},
		},
	}}
}

// manifest is the object as Git has it.
func (o *object) manifest() map[string]any {
	metadata := map[string]any{"name": o.name, "labels": map[string]any{valueLabel: fmt.Sprint(o.value)}}
	if o.space != "" {
		metadata["namespace"] = o.space
	}
	m := map[string]any{"apiVersion": o.kind.GroupVersion().String(), "kind": o.kind.Kind, "metadata": metadata}
	for field, content := range o.kind.content(o) {
		m[field] = content
	}
	return m
}

// id is how an inventory names the object.
func (o *object) id() string { return o.space + "_" + o.name + "_" + o.kind.Group + "_" + o.kind.Kind }

func (o *object) path(a *app) string { return a.path() + "/" + o.kind.Kind + "-" + o.name + ".yaml" }

func (o *object) file(a *app) gitserver.Change {
	data, err := yaml.Marshal(o.manifest())
	if err != nil {
		panic(err) // there is nothing in it that has no form in YAML
	}
	return gitserver.File(o.path(a), string(data))
}

func appName(i int) string { return fmt.Sprintf("app-%03d", i) }

func (a *app) path() string { return "apps/" + a.name }

// newFleet returns n applications of some objects each.
func newFleet(random *rand.Rand, n int) *fleet {
	f := &fleet{random: random}
	for i := range n {
		a := &app{name: appName(i), repo: i % repositories, wait: i%3 == 0}
		if i >= repositories && i%5 == 0 {
			a.after = appName(i - repositories) // of the same repository: it must be at the same revision
		}
		if i == 0 {
			f.addOf(a, helmv2.HelmReleaseKind) // so that there is one that remediates
		}
		for range 2 + random.IntN(3) {
			f.add(a)
		}
		f.apps = append(f.apps, a)
	}
	f.mend()
	return f
}

// remediated returns a HelmRelease whose failures are undone, and its application.
func (f *fleet) remediated() (*app, *object) {
	a := f.apps[0]
	return a, a.objects[0]
}

// mend has nothing fail any more, and returns what commits have to, by repository.
func (f *fleet) mend() map[int][]gitserver.Change {
	changes := make(map[int][]gitserver.Change)
	for _, a := range f.apps {
		for _, o := range a.objects {
			if brokenBy(o) != "" {
				o.value++
				changes[a.repo] = append(changes[a.repo], o.file(a))
			}
		}
	}
	return changes
}

// add adds an object to an application.
func (f *fleet) add(a *app) *object {
	all := kinds()
	return f.addOf(a, all[f.random.IntN(len(all))].Kind)
}

// addOf adds an object of a kind.
func (f *fleet) addOf(a *app, kindName string) *object {
	all := kinds()
	o := &object{
		kind: all[slices.IndexFunc(all, func(k *kind) bool { return k.Kind == kindName })], space: spaceName(f.random.IntN(spaces)),
		name: fmt.Sprintf("%s-%d", a.name, a.added), value: f.random.IntN(1000),
	}
	if o.kind.clustered {
		o.space = ""
	}
	a.added++
	a.objects = append(a.objects, o)
	return o
}

func spaceName(i int) string { return fmt.Sprintf("team-%d", i) }

// any returns one of the applications.
func (f *fleet) any() *app { return f.apps[f.random.IntN(len(f.apps))] }

// anyObject returns one that Git has.
func (f *fleet) anyObject() *object {
	a := f.any()
	return a.objects[f.random.IntN(len(a.objects))]
}

// change changes some applications of a repository, and returns what a commit has to.
func (f *fleet) change(repo, some int) []gitserver.Change {
	var mine []*app
	for _, a := range f.apps {
		if a.repo == repo {
			mine = append(mine, a)
		}
	}
	f.random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
	var changes []gitserver.Change
	for _, a := range mine[:min(some, len(mine))] {
		changes = append(changes, f.changeApp(a))
	}
	return changes
}

// changeApp adds, removes or changes an object.
func (f *fleet) changeApp(a *app) gitserver.Change {
	i, what := f.random.IntN(len(a.objects)), f.random.IntN(4)
	switch {
	case what == 0 && len(a.objects) < mostObjects:
		return f.add(a).file(a)
	case what == 1 && len(a.objects) > 1:
		gone := a.objects[i]
		a.objects = slices.Delete(a.objects, i, i+1)
		return gitserver.Delete(gone.path(a))
	default:
		a.objects[i].value += 1 + f.random.IntN(9)
		return a.objects[i].file(a)
	}
}

// missing returns where an object is not as it should be: it may have more fields, but a
// list must have as many items.
func missing(want, got any, path string) []string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v; want %v", path, got, want)}
		}
		var all []string
		for key, value := range want {
			all = append(all, missing(value, have[key], path+"."+key)...)
		}
		return all
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) != len(want) {
			return []string{fmt.Sprintf("%s is %v; want %v", path, got, want)}
		}
		var all []string
		for i := range want {
			all = append(all, missing(want[i], have[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return all
	default:
		if want != got {
			return []string{fmt.Sprintf("%s is %v; want %v", path, got, want)}
		}
		return nil
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	want := map[string]any{"a": int64(1), "list": []any{map[string]any{"b": "x"}}}
	tests := map[string]struct {
		why string
		got map[string]any
		n   int
	}{
		"all and more":         {why: "others may add fields", got: map[string]any{"a": int64(1), "c": "y", "list": []any{map[string]any{"b": "x", "d": "z"}}}},
		"another value":        {why: "Git has another", got: map[string]any{"a": int64(2), "list": []any{map[string]any{"b": "x"}}}, n: 1},
		"a field less":         {why: "Git has it", got: map[string]any{"list": []any{map[string]any{"b": "x"}}}, n: 1},
		"an item more":         {why: "the list is Git's", got: map[string]any{"a": int64(1), "list": []any{map[string]any{"b": "x"}, map[string]any{"b": "y"}}}, n: 1},
		"another in an item":   {why: "Git has another", got: map[string]any{"a": int64(1), "list": []any{map[string]any{"b": "y"}}}, n: 1},
		"nothing":              {why: "Git has it all", n: 2},
		"something else there": {why: "Git has a list", got: map[string]any{"a": int64(1), "list": "x"}, n: 1},
	}
	for name, tc := range tests {
		if got := missing(want, any(tc.got), ""); len(got) != tc.n {
			t.Errorf("%s: missing = %q; want %d differences (%s)", name, got, tc.n, tc.why)
		}
	}
}

// TestMendedFleetHasNothingBroken: what is compared with the cluster at the end can be.
func TestMendedFleetHasNothingBroken(t *testing.T) {
	t.Parallel()
	f := newFleet(rand.New(rand.NewPCG(3, 3)), 60)
	broken := func() (n int) {
		for _, o := range f.releases() {
			if brokenBy(o) != "" {
				n++
			}
		}
		return n
	}
	if n := broken(); n != 0 {
		t.Errorf("%d of %d releases are broken at the beginning", n, len(f.releases()))
	}
	if _, o := f.remediated(); !remediates(o) {
		t.Errorf("%s is to remediate its failures", o.id())
	}
	for range 400 {
		f.change(f.random.IntN(repositories), 5)
	}
	n, changes := broken(), 0
	for repo, all := range f.mend() {
		changes += len(all)
		if repo < 0 || repo >= repositories {
			t.Errorf("there are changes for repository %d", repo)
		}
	}
	if n == 0 || changes != n || broken() != 0 {
		t.Errorf("%d of %d releases were broken, %d changes have mended all but %d", n, len(f.releases()), changes, broken())
	}
}

func TestFleetKeepsNamesApart(t *testing.T) {
	t.Parallel()
	f := newFleet(rand.New(rand.NewPCG(1, 1)), 10)
	for range 300 {
		f.change(f.random.IntN(repositories), 3)
	}
	ids := make(map[string]int)
	for _, a := range f.apps {
		for _, o := range a.objects {
			ids[o.id()]++
		}
	}
	for id, n := range ids {
		if diff := cmp.Diff(1, n); diff != "" {
			t.Errorf("%s: so many objects of that name (-want +got):\n%s", id, diff)
		}
	}
}
