package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/manifest"
)

func TestParseKinds(t *testing.T) {
	t.Parallel()
	role, widget := schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "Role"}, schema.GroupKind{Group: "example.com", Kind: "Widget"}
	tests := map[string]struct {
		why  string
		list string
		want manifest.Kinds
		err  string
	}{
		"none":           {why: "it is the default", want: manifest.Kinds{}},
		"blank":          {why: "it says nothing", list: "  ", want: manifest.Kinds{}},
		"one":            {why: "group and kind", list: "rbac.authorization.k8s.io/Role", want: manifest.Kinds{role: true}},
		"two":            {why: "people put a space behind a comma", list: "rbac.authorization.k8s.io/Role, example.com/Widget", want: manifest.Kinds{role: true, widget: true}},
		"twice":          {why: "it does no harm", list: "example.com/Widget,example.com/Widget", want: manifest.Kinds{widget: true}},
		"a core kind":    {why: "its group has no name", list: "/ConfigMap", want: manifest.Kinds{{Kind: "ConfigMap"}: true}},
		"no group":       {why: "it may have been forgotten", list: "Role", err: `"Role" has no group: write group/Kind, such as rbac.authorization.k8s.io/Role, or /Role for the core API`},
		"Kind.group":     {why: "other tools write it so", list: "Role.rbac.authorization.k8s.io", err: `"Role.rbac.authorization.k8s.io" has no group: write group/Kind, such as rbac.authorization.k8s.io/Role, or /Role.rbac.authorization.k8s.io for the core API`},
		"with a version": {why: "the stage is about all versions", list: "apps/v1/Deployment", err: `"v1/Deployment" in "apps/v1/Deployment" is no kind, such as Role: write group/Kind, without a version`},
		"a resource":     {why: "it would match nothing", list: "rbac.authorization.k8s.io/roles", err: `"roles" in "rbac.authorization.k8s.io/roles" is no kind, such as Role: write group/Kind, without a version`},
		"no kind":        {why: "it would match nothing", list: "apps/", err: `"" in "apps/" is no kind, such as Role: write group/Kind, without a version`},
		"no such group":  {why: "it would match nothing", list: "Apps_x/Role", err: `"Apps_x" in "Apps_x/Role" is no API group, such as rbac.authorization.k8s.io`},
		"a comma at end": {why: "something may be missing", list: "apps/Role,", err: `"apps/Role," has an empty item: write group/Kind, separated by commas`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := manifest.ParseKinds(tc.list)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff(tc.err, message); diff != "" {
				t.Errorf("the error differs (%s) (-want +got):\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("kinds differ (%s) (-want +got):\n%s", tc.why, diff)
			}
		})
	}
	if kinds, _ := manifest.ParseKinds("example.com/Widget"); !kinds.Has(widget) || kinds.Has(role) {
		t.Errorf("Has() does not tell what is in %v", kinds)
	}
}
