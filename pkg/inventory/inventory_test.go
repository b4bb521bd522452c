package inventory_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

const rbac = "rbac.authorization.k8s.io"

// encoded pairs identities with what the API promises for them.
func encoded() map[string]struct {
	why string
	id  manifest.ID
	ref string
} {
	return map[string]struct {
		why string
		id  manifest.ID
		ref string
	}{
		"an object of a group":          {why: "the plain form", id: manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "app"}, ref: "default_app_apps_Deployment"},
		"an object of the core API":     {why: "its group is empty", id: manifest.ID{Kind: "ConfigMap", Namespace: "default", Name: "app"}, ref: "default_app__ConfigMap"},
		"a cluster-scoped object":       {why: "its namespace is empty", id: manifest.ID{Kind: "Namespace", Name: "app"}, ref: "_app__Namespace"},
		"a cluster-scoped of a group":   {why: "its namespace is empty", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "app"}, ref: "_app_" + rbac + "_ClusterRole"},
		"a name with dots":              {why: "dots separate nothing", id: manifest.ID{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "a.b.example.com"}, ref: "_a.b.example.com_apiextensions.k8s.io_CustomResourceDefinition"},
		"a name with colons":            {why: "names of RBAC objects have them", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "system:aggregate-to:view"}, ref: "_system__aggregate-to__view_" + rbac + "_ClusterRole"},
		"a namespaced name with one":    {why: "Roles are named likewise", id: manifest.ID{Group: rbac, Kind: "Role", Namespace: "a", Name: "x:y"}, ref: "a_x__y_" + rbac + "_Role"},
		"a name that is a colon":        {why: "nothing is too short", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: ":"}, ref: "____" + rbac + "_ClusterRole"},
		"colons at both ends":           {why: "the separators stand beside them", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: ":a:"}, ref: "___a___" + rbac + "_ClusterRole"},
		"two colons in a row":           {why: "four underscores are two colons", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "a::b"}, ref: "_a____b_" + rbac + "_ClusterRole"},
		"a name with an underscore":     {why: "names of RBAC objects have them", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "my_role"}, ref: "_my_role_" + rbac + "_ClusterRole"},
		"underscores at both ends":      {why: "the separators stand beside them", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "_a_"}, ref: "__a__" + rbac + "_ClusterRole"},
		"an underscore after a colon":   {why: "the first two of three are the colon", id: manifest.ID{Group: rbac, Kind: "ClusterRole", Name: "a:_b"}, ref: "_a___b_" + rbac + "_ClusterRole"},
		"underscores in a namespaced":   {why: "only the first one ends the namespace", id: manifest.ID{Group: rbac, Kind: "Role", Namespace: "n", Name: "_a_b"}, ref: "n__a_b_" + rbac + "_Role"},
		"an upper-case name with @":     {why: "names of RBAC objects may be e-mail addresses", id: manifest.ID{Group: rbac, Kind: "ClusterRoleBinding", Name: "Jane@example.com"}, ref: "_Jane@example.com_" + rbac + "_ClusterRoleBinding"},
		"a kind that looks like a core": {why: "groups tell kinds of one name apart", id: manifest.ID{Group: "serving.example.com", Kind: "Service", Namespace: "a", Name: "b"}, ref: "a_b_serving.example.com_Service"},
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for name, tc := range encoded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := inventory.Encode[kustomizev1.ResourceRef](inventory.Set{tc.id: "v1"})
			want := []kustomizev1.ResourceRef{{ID: tc.ref, Version: "v1"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("encoded (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, tc := range encoded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := inventory.Decode([]kustomizev1.ResourceRef{{ID: tc.ref, Version: "v2"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(inventory.Set{tc.id: "v2"}, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}

// TestFormatCannotTell shows what the format that was promised cannot express: two
// identities have one form, and the one with a colon is read.
func TestFormatCannotTell(t *testing.T) {
	t.Parallel()
	for written, read := range map[string]string{"a__b": "a:b", "a_:b": "a:_b"} {
		set := inventory.Set{{Group: rbac, Kind: "ClusterRole", Name: written}: "v1"}
		got, err := inventory.Decode(inventory.Encode[kustomizev1.ResourceRef](set))
		if err != nil {
			t.Fatal(err)
		}
		want := inventory.Set{{Group: rbac, Kind: "ClusterRole", Name: read}: "v1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q is read as (-want +got):\n%s", written, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for why, id := range map[string]string{
		"nothing at all": "", "no separator": "app", "a namespace and a name": "default_app",
		"no group": "default_app_Deployment", "no kind": "default_app_apps_", "no name": "default__apps_Deployment",
	} {
		set, err := inventory.Decode([]kustomizev1.ResourceRef{{ID: "_a__Namespace", Version: "v1"}, {ID: id}})
		if err == nil || set != nil || !strings.Contains(err.Error(), `"`+id+`"`) {
			t.Errorf("%s: decoding %q gave %v, %v; want an error that quotes it", why, id, set, err)
		}
	}
}

func TestDecodeOfNone(t *testing.T) {
	t.Parallel()
	for name, in := range map[string][]kustomizev1.ResourceRef{"nil": nil, "empty": {}} {
		if set, err := inventory.Decode(in); err != nil || set == nil || len(set) > 0 {
			t.Errorf("%s inventory gave %v, %v; want an empty set", name, set, err)
		}
	}
}

// TestOrderIsStable: an inventory in another order would be a new status.
func TestOrderIsStable(t *testing.T) {
	t.Parallel()
	set := make(inventory.Set)
	for _, tc := range encoded() {
		set[tc.id] = "v1"
	}
	first, ids := inventory.Encode[kustomizev1.ResourceRef](set), set.IDs()
	if !slices.IsSortedFunc(first, func(a, b kustomizev1.ResourceRef) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("entries are not sorted by id: %v", first)
	}
	if !slices.IsSortedFunc(ids, manifest.CompareApply) || len(ids) != len(set) {
		t.Errorf("ids are not in the order of application: %v", ids)
	}
	for range 20 { // maps are walked in another order each time
		if diff := cmp.Diff(first, inventory.Encode[kustomizev1.ResourceRef](set)); diff != "" {
			t.Fatalf("encoding again (-first +again):\n%s", diff)
		}
		if diff := cmp.Diff(ids, set.IDs()); diff != "" {
			t.Fatalf("listing again (-first +again):\n%s", diff)
		}
	}
}

func TestSets(t *testing.T) {
	t.Parallel()
	a, b, c := manifest.ID{Kind: "A"}, manifest.ID{Kind: "B"}, manifest.ID{Kind: "C"}
	older, newer := inventory.Set{a: "v1", b: "v1"}, inventory.Set{b: "v2", c: "v2"}
	tests := map[string]struct {
		why       string
		got, want inventory.Set
	}{
		"union":                   {why: "the newer version is the one to ask for", got: inventory.Union(older, newer), want: inventory.Set{a: "v1", b: "v2", c: "v2"}},
		"union with none":         {why: "nil is empty", got: inventory.Union(nil, newer), want: newer},
		"union of none":           {why: "nil is empty", got: inventory.Union(nil, nil), want: inventory.Set{}},
		"difference":              {why: "what is to be pruned, by its own version", got: inventory.Difference(older, newer), want: inventory.Set{a: "v1"}},
		"difference to none":      {why: "nil is empty", got: inventory.Difference(older, nil), want: older},
		"difference of none":      {why: "nil is empty", got: inventory.Difference(nil, newer), want: inventory.Set{}},
		"difference of a version": {why: "a new version of the API is the same object", got: inventory.Difference(inventory.Set{b: "v1"}, newer), want: inventory.Set{}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s(%s)", name, diff, tc.why)
		}
	}
	if diff := cmp.Diff([]inventory.Set{{a: "v1", b: "v1"}, {b: "v2", c: "v2"}}, []inventory.Set{older, newer}); diff != "" {
		t.Errorf("the operands were changed (-want +got):\n%s", diff)
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	a, b := manifest.ID{Kind: "A"}, manifest.ID{Kind: "B"}
	tests := map[string]struct {
		why  string
		s, b inventory.Set
		want bool
	}{
		"itself":            {why: "nothing is missing", s: inventory.Set{a: "v1"}, b: inventory.Set{a: "v1"}, want: true},
		"a part":            {why: "nothing is missing", s: inventory.Set{a: "v1", b: "v1"}, b: inventory.Set{b: "v1"}, want: true},
		"none":              {why: "nothing is missing", s: inventory.Set{a: "v1"}, want: true},
		"none in none":      {why: "nothing is missing", want: true},
		"not more":          {why: "b is missing", s: inventory.Set{a: "v1"}, b: inventory.Set{a: "v1", b: "v1"}},
		"not any in none":   {why: "a is missing", b: inventory.Set{a: "v1"}},
		"whatever version":  {why: "it is the same object", s: inventory.Set{a: "v1"}, b: inventory.Set{a: "v2"}, want: true},
		"not another group": {why: "it is another object", s: inventory.Set{{Group: "x", Kind: "A"}: "v1"}, b: inventory.Set{a: "v1"}},
	}
	for name, tc := range tests {
		if got := tc.s.Contains(tc.b); got != tc.want {
			t.Errorf("contains %s: %v, want %v (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestRoundTrip encodes sets at random, with the letters that matter frequent.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		set := make(inventory.Set)
		for range r.IntN(8) {
			set[randomID(r)] = "v" + word(r, "12", 1, 1)
		}
		got, err := inventory.Decode(inventory.Encode[kustomizev1.ResourceRef](set))
		if err != nil {
			t.Fatalf("decoding %v: %v (seed %d)", set, err, seed)
		}
		if diff := cmp.Diff(set, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s(seed %d)", diff, seed)
		}
	}
}

// randomID is an identity whose name the format can tell.
func randomID(r *rand.Rand) manifest.ID {
	id := manifest.ID{Group: word(r, "ab.", 0, 4), Kind: word(r, "AB", 1, 2), Namespace: word(r, "ab-", 0, 3)}
	for id.Name == "" || strings.Contains(id.Name, "__") || strings.Contains(id.Name, "_:") {
		id.Name = word(r, "ab:_.", 1, 8)
	}
	return id
}

func word(r *rand.Rand, letters string, shortest, longest int) string {
	var b strings.Builder
	for range shortest + r.IntN(longest-shortest+1) {
		b.WriteByte(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// FuzzDecode reads what others may have written: it must not panic, and what it
// accepts must stay what it is when it is written again.
func FuzzDecode(f *testing.F) {
	for _, tc := range encoded() {
		f.Add(tc.ref)
	}
	for _, id := range []string{"", "_", "__", "___", "____", "_____", "a_b_c", "_a__b", "n_a___b__K"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if strings.Contains(id, ":") {
			t.Skip("nobody writes colons")
		}
		first, err := inventory.Decode([]kustomizev1.ResourceRef{{ID: id, Version: "v1"}})
		if err != nil {
			return
		}
		again, err := inventory.Decode(inventory.Encode[kustomizev1.ResourceRef](first))
		if err != nil {
			t.Fatalf("%q is read as %v, which cannot be written: %v", id, first, err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%q, written again (-first +again):\n%s", id, diff)
		}
	})
}
