package drift

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 2, 13, 7, 0, time.UTC)
	const all = "f:spec: {f:replicas: {}, f:paused: {}}"
	tests := map[string]struct {
		why             string
		found, restored string
		before          []entry
		after           string // what we own after the restoration
		want            []string
	}{
		"a field changed": {
			why:   "its new owner and the time are told",
			found: content(5), restored: content(2), after: all,
			before: []entry{{manager: us, fields: "f:spec: {f:paused: {}}"}, {manager: "kubectl-scale", fields: "f:spec: {f:replicas: {}}", update: true, at: at}},
			want:   []string{"spec.replicas 2 -> 5 by kubectl-scale at 02:13:07Z"},
		},
		"a field removed": {
			why:   "nobody owns what is not there",
			found: "spec: {replicas: 2}", restored: content(2), after: all,
			before: []entry{{manager: us, fields: "f:spec: {f:replicas: {}}"}, {manager: "kubectl-edit", fields: "f:metadata: {f:annotations: {}}", update: true, at: at}},
			want:   []string{"spec.paused false -> nothing by somebody unknown"},
		},
		"several fields by several managers": {
			why:   "each is told with its own, in the order of paths",
			found: "spec: {replicas: 5, paused: true}", restored: content(2), after: all,
			before: []entry{
				{manager: us, fields: "f:metadata: {}"},
				{manager: "b", fields: "f:spec: {f:paused: {}}", update: true, at: at},
				{manager: "a", fields: "f:spec: {f:replicas: {}}", update: true, at: at.Add(time.Hour)},
			},
			want: []string{"spec.paused false -> true by b at 02:13:07Z", "spec.replicas 2 -> 5 by a at 03:13:07Z"},
		},
		"a field that two took, one after the other": {
			why:   "the last one is to be asked",
			found: content(5), restored: content(2), after: all,
			before: []entry{
				{manager: us, fields: "f:spec: {f:paused: {}}"},
				{manager: "early", fields: "f:spec: {f:replicas: {}}", update: true, at: at},
				{manager: "late", fields: "f:spec: {f:replicas: {}}", update: true, at: at.Add(time.Second)},
			},
			want: []string{"spec.replicas 2 -> 5 by late at 02:13:08Z"},
		},
		"a part of a list": {
			why:   "items are found by their keys",
			found: "spec: {template: {spec: {containers: [{name: x, image: 'x:2'}, {name: z, image: 'y:9'}]}}}", restored: "spec: {template: {spec: {containers: [{name: x, image: 'x:1'}, {name: z, image: 'y:1'}]}}}",
			after: `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"x"}': {.: {}, f:name: {}}, 'k:{"name":"z"}': {.: {}, f:name: {}, f:image: {}}}}}}`,
			before: []entry{
				{manager: us, fields: `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"x"}': {.: {}, f:name: {}}, 'k:{"name":"z"}': {.: {}, f:name: {}}}}}}`},
				{manager: "kubectl-set", fields: `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"z"}': {f:image: {}}}}}}`, update: true, at: at},
			},
			want: []string{`spec.template.spec.containers[name="z"].image "y:1" -> "y:9" by kubectl-set at 02:13:07Z`},
		},
		"a change under our own name": {
			why:   "another instance of us, or somebody who borrows the name",
			found: content(7), restored: content(2), after: all,
			before: []entry{{manager: us, fields: all, at: at}},
			want:   []string{"spec.replicas 2 -> 7 by kustomize-controller at 02:13:07Z"},
		},
		"a Secret": {
			why:   "its values are nobody's business",
			found: "{kind: Secret, apiVersion: v1, data: {password: aHVudGVyMg==}}", restored: "{kind: Secret, apiVersion: v1, data: {password: c2VjcmV0}}",
			after:  "f:data: {f:password: {}}",
			before: []entry{{manager: us, fields: "f:metadata: {}"}, {manager: "kubectl-edit", fields: "f:data: {f:password: {}}", update: true, at: at}},
			want:   []string{"data.password *** -> *** by kubectl-edit at 02:13:07Z"},
		},
		"fields that kubectl added": {
			why:   "they are taken over, and gone",
			found: "{metadata: {annotations: {note: x}, labels: {owner: app, owner-ns: flux-system}}, spec: {replicas: 2, paused: true, minReadySeconds: 5}}", restored: content(2), after: all,
			before: []entry{
				{manager: us, fields: "f:spec: {f:replicas: {}}"},
				{manager: "kubectl-edit", fields: "f:spec: {f:paused: {}, f:minReadySeconds: {}}", update: true, at: at},
				{manager: "kubectl-annotate", fields: "f:metadata: {f:annotations: {.: {}, f:note: {}}}", update: true, at: at},
				{manager: "tool", fields: "f:metadata: {f:labels: {f:x: {}}}", update: true, at: at},
			},
			want: []string{
				`metadata.annotations.note nothing -> "x" by kubectl-annotate at 02:13:07Z`, "spec.minReadySeconds nothing -> 5 by kubectl-edit at 02:13:07Z",
				"spec.paused false -> true by kubectl-edit at 02:13:07Z",
			},
		},
		"a field that kubectl set without effect": {
			why:   "nothing has changed but who has it",
			found: content(2), restored: content(2), after: all,
			before: []entry{{manager: us, fields: all}, {manager: "kubectl", fields: all, at: at}},
		},
		"a field that is ignored, with another": {
			why:   "we own it again, at the value that it has",
			found: "spec: {replicas: 7, paused: true}", restored: "spec: {replicas: 7, paused: false}", after: all,
			before: []entry{
				{manager: us, fields: "f:metadata: {}"},
				{manager: "hpa", fields: "f:spec: {f:replicas: {}}", update: true, at: at},
				{manager: "b", fields: "f:spec: {f:paused: {}}", update: true, at: at},
			},
			want: []string{"spec.paused false -> true by b at 02:13:07Z"},
		},
		"an item that kubectl added": {
			why:      "it is told as a whole",
			found:    "spec: {template: {spec: {containers: [{name: x}, {name: z, image: 'y:9'}]}}}",
			restored: "spec: {template: {spec: {containers: [{name: x}]}}}",
			after:    `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"x"}': {.: {}, f:name: {}}}}}}`,
			before: []entry{
				{manager: us, fields: `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"x"}': {.: {}, f:name: {}}}}}}`},
				{manager: "kubectl-edit", fields: `f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"z"}': {.: {}, f:name: {}, f:image: {}}}}}}`, update: true, at: at},
			},
			want: []string{`spec.template.spec.containers[name="z"] nothing -> {"image":"y:9","name":"z"} by kubectl-edit at 02:13:07Z`},
		},
		"kubectl's copy of a Secret": {
			why:   "it holds what the Secret does",
			found: `{kind: Secret, apiVersion: v1, metadata: {annotations: {note: x, kubectl.kubernetes.io/last-applied-configuration: '{"data":{"password":"aHVudGVyMg=="}}'}}, data: {password: c2VjcmV0, more: aHVudGVyMg==}}`, restored: "{kind: Secret, apiVersion: v1, data: {password: c2VjcmV0}}",
			after:  "f:data: {f:password: {}}",
			before: []entry{{manager: us, fields: "f:data: {f:password: {}}"}, {manager: "kubectl-client-side-apply", fields: "{f:metadata: {f:annotations: {.: {}, f:note: {}, f:kubectl.kubernetes.io/last-applied-configuration: {}}}, f:data: {f:more: {}}}", update: true, at: at}},
			want: []string{
				"data.more nothing -> *** by kubectl-client-side-apply at 02:13:07Z",
				"metadata.annotations.kubectl.kubernetes.io/last-applied-configuration nothing -> *** by kubectl-client-side-apply at 02:13:07Z",
				`metadata.annotations.note nothing -> "x" by kubectl-client-side-apply at 02:13:07Z`,
			},
		},
		"nothing": {why: "the watch was wrong, or too late", found: content(2), restored: content(2), before: []entry{{manager: us, fields: all}}, after: all},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, restored := deployment(t, 10, tc.found, tc.before...), deployment(t, 11, tc.restored, entry{manager: us, fields: tc.after})
			if found.GetKind() == "Secret" {
				found.SetAPIVersion("v1")
			}
			changes, err := Explain(found, restored, us)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Explain differs (%s) (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestExplainRefusesWhatIsNoManagedFields(t *testing.T) {
	t.Parallel()
	good := deployment(t, 10, content(2), entry{manager: us, fields: oursFields})
	bad := deployment(t, 10, content(2), entry{manager: us, fields: "[]"})
	if _, err := Explain(bad, good, us); err == nil {
		t.Error("managedFields that cannot be read are no error")
	}
}
