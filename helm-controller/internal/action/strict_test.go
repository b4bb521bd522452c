package action_test

import (
	"testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
)

// withField is a template of an object with a field that its kind does not have.
const withField = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\ndata: {k: v}\nreplicas: 3\n"

// TestFieldsThatAKindDoesNotHave are refused and named, unless the spec asks for them to be
// left out.
func TestFieldsThatAKindDoesNotHave(t *testing.T) {
	t.Parallel()
	clientSide := false
	for name, lenient := range map[string]bool{"refused": false, "left out": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(spec *helmv2.HelmReleaseSpec) {
				spec.Install = &helmv2.Install{ServerSideApply: &clientSide, DisableOpenAPIValidation: lenient}
				spec.Upgrade = &helmv2.Upgrade{DisableOpenAPIValidation: lenient}
			})
			whole := w.templates
			w.templates = append([]string{withField}, whole...)
			for _, what := range []plan.Action{plan.Install, plan.Upgrade} {
				res := w.do(what)
				switch {
				case !lenient:
					w.says(res.Err, `"replicas"`, "disableOpenAPIValidation")
				case res.Err != nil:
					t.Errorf("%s: %v", what, res.Err)
				case w.value("typo") != "v":
					t.Errorf("%s: the object has %q", what, w.value("typo"))
				}
			}
		})
	}
}
