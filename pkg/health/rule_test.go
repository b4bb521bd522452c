package health_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/health"
)

// check is an entry of spec.healthCheckExprs.
func check(apiVersion, kind, current string) kustomize.CustomHealthCheck {
	return kustomize.CustomHealthCheck{
		APIVersion: apiVersion, Kind: kind, HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: current},
	}
}

// rule is that of the expressions for Widgets.
func rule(t testing.TB, exprs kustomize.HealthCheckExpressions) *health.Rule {
	t.Helper()
	rules, err := health.Compile([]kustomize.CustomHealthCheck{{APIVersion: "example.com/v1", Kind: "Widget", HealthCheckExpressions: exprs}})
	if err != nil {
		t.Fatal(err)
	}
	return rules.For(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
}

func TestRuleOf(t *testing.T) {
	t.Parallel()
	phases := kustomize.HealthCheckExpressions{
		InProgress: "status.phase == 'Starting' || status.phase == 'Torn'",
		Failed:     "status.phase == 'Broken' || status.phase == 'Torn'",
		Current:    "status.phase == 'Up' || status.phase == 'Broken'",
	}
	only := func(current string) kustomize.HealthCheckExpressions {
		return kustomize.HealthCheckExpressions{Current: current}
	}
	tests := map[string]struct {
		why     string
		exprs   kustomize.HealthCheckExpressions
		in      string // metadata and more of a Widget
		want    health.Status
		message string // part of it
	}{
		"current":                    {why: "it holds", exprs: phases, in: "status: {phase: Up}", want: health.Current},
		"in progress":                {why: "it holds", exprs: phases, in: "status: {phase: Starting}", want: health.InProgress, message: "inProgress"},
		"failed before current":      {why: "who is broken is not up, whatever else is said", exprs: phases, in: "status: {phase: Broken}", want: health.Failed, message: "failed"},
		"in progress before failed":  {why: "a fault of the past may be on its way to be mended", exprs: phases, in: "status: {phase: Torn}", want: health.InProgress},
		"none":                       {why: "who says nothing that is known is not there yet", exprs: phases, in: "status: {phase: Odd}", want: health.InProgress, message: "none of the expressions"},
		"generation behind":          {why: "the status is about the spec before", exprs: phases, in: "metadata: {generation: 3}, status: {observedGeneration: 2, phase: Up}", want: health.InProgress, message: "generation is 3, but latest observed generation is 2"},
		"failed, generation behind":  {why: "the new spec may help", exprs: phases, in: "metadata: {generation: 3}, status: {observedGeneration: 2, phase: Broken}", want: health.InProgress},
		"generation seen":            {why: "", exprs: phases, in: "metadata: {generation: 3}, status: {observedGeneration: 3, phase: Up}", want: health.Current},
		"observed in words":          {why: "only a number can be compared; the expressions decide", exprs: phases, in: "metadata: {generation: 3}, status: {observedGeneration: '2', phase: Up}", want: health.Current},
		"observed, not generated":    {why: "there is nothing to compare it with", exprs: phases, in: "status: {observedGeneration: 2, phase: Up}", want: health.Current},
		"no status":                  {why: "nothing is known before its controller has spoken", exprs: phases, in: "spec: {x: 1}", want: health.Unknown, message: "cannot evaluate inProgress: no such attribute(s): status"},
		"no such key":                {why: "the author must write has()", exprs: only("status.phase == 'Up'"), in: "status: {x: 1}", want: health.Unknown, message: "cannot evaluate current: no such key: phase"},
		"has":                        {why: "a field may be missing", exprs: only("has(status.phase) && status.phase == 'Up'"), in: "status: {x: 1}", want: health.InProgress},
		"optional":                   {why: "as in Flux", exprs: only("status.?phase.orValue('Up') == 'Up'"), in: "status: {x: 1}", want: health.Current},
		"conditions":                 {why: "what most people write", exprs: only("status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'True')"), in: "status: {conditions: [{type: Synced, status: 'True'}, {type: Other, status: 'False'}]}", want: health.Current},
		"any top-level field":        {why: "not every kind has a status", exprs: only("data.ready == 'yes' && metadata.labels['a'] == 'b' && kind == 'Widget' && apiVersion == 'example.com/v1'"), in: "metadata: {labels: {a: b}}, data: {ready: 'yes'}", want: health.Current},
		"strings, sets and encoders": {why: "as in Flux", exprs: only("data.a.lowerAscii() == 'x' && sets.contains(data.l, ['p']) && base64.decode(data.b) == b'hello'"), in: "data: {a: X, l: [p, q], b: aGVsbG8=}", want: health.Current},
		"numbers of any kind":        {why: "objects hold whole numbers and fractions", exprs: only("status.a == 1.0 && status.b > 1 && status.a < uint(2)"), in: "status: {a: 1, b: 1.5}", want: health.Current},
		"times":                      {why: "as in Flux: in UTC", exprs: only("timestamp(status.at).getHours() == 1"), in: "status: {at: '2026-01-01T03:00:00+02:00'}", want: health.Current},
		"no answer":                  {why: "a word is neither yes nor no", exprs: only("status.phase"), in: "status: {phase: Up}", want: health.Unknown, message: "cannot evaluate current: it is of type string, not bool"},
		"its own words":              {why: "the object may say what is wrong with it", exprs: phases, in: "status: {phase: Broken, conditions: [{type: Ready, status: 'False', message: no water}]}", want: health.Failed, message: "no water"},
		"terminating":                {why: "as in Flux: the expressions alone decide", exprs: phases, in: "metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, status: {phase: Up}", want: health.Current},
		"too much to ask": {
			why: "one author must not hold up everybody", exprs: only("data.l.all(a, data.l.all(b, data.l.all(c, data.l.all(d, a + b + c + d >= 0))))"),
			in: "data: {l: [" + strings.Repeat("1,", 99) + "1]}", want: health.Unknown, message: "cost limit exceeded",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, message := rule(t, tc.exprs).Of(object(t, "{apiVersion: example.com/v1, kind: Widget, "+tc.in+"}"))
			if got != tc.want || !strings.Contains(message, tc.message) {
				t.Errorf("Of() = %s, %q; want %s, %q (%s)", got, message, tc.want, tc.message, tc.why)
			}
		})
	}
}

func TestNoRule(t *testing.T) {
	t.Parallel()
	var none *health.Rule
	in := object(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a}, status: {conditions: [{type: Ready, status: 'False', message: no water}]}}")
	got, message := none.Of(in)
	if want, say := health.Of(in); got != want || message != say {
		t.Errorf("with no rule Of() = %s, %q; want %s, %q as without rules", got, message, want, say)
	}
	if key := none.Key(); key != "" {
		t.Errorf("Key() of no rule = %q, want none", key)
	}
}

// What is wrong with an expression about a Secret may quote from it.
func TestRuleTellsNoSecret(t *testing.T) {
	t.Parallel()
	rules, err := health.Compile([]kustomize.CustomHealthCheck{check("v1", "", "{'x': true}[data.pin]")})
	if err != nil {
		t.Fatal(err)
	}
	for kind, told := range map[string]bool{"Secret": false, "ConfigMap": true} {
		in := object(t, "{apiVersion: v1, kind: "+kind+", metadata: {name: a}, data: {pin: c2VzYW1l}}")
		got, message := rules.For(in.GroupVersionKind()).Of(in)
		if got != health.Unknown || !strings.Contains(message, "cannot evaluate current") || strings.Contains(message, "c2VzYW1l") != told {
			t.Errorf("of a %s, Of() = %s, %q; want Unknown, and its data told: %t", kind, got, message, told)
		}
	}
}

func TestRulesFor(t *testing.T) {
	t.Parallel()
	rules, err := health.Compile([]kustomize.CustomHealthCheck{
		check("example.com/v1", "Widget", "status.a"), check("example.com/v1", "", "status.b"),
		check("v1", "ConfigMap", "data.c == ''"), check("other.example.com/v1", "Gadget", "status.a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	kind := func(group, version, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
	}
	key := func(gvk schema.GroupVersionKind) string { return rules.For(gvk).Key() }
	widget, rest := key(kind("example.com", "v1", "Widget")), key(kind("example.com", "v1", "Thing"))
	if widget == "" || rest == "" || widget == rest {
		t.Errorf("keys of a kind and of the rest of its group are %q and %q; want two", widget, rest)
	}
	if got := key(kind("example.com", "v1beta1", "Widget")); got != widget {
		t.Errorf("key of another version = %q, want %q: an object is the same in all", got, widget)
	}
	if got := key(kind("other.example.com", "v1", "Gadget")); got != widget {
		t.Errorf("key of the same expressions for another kind = %q, want %q", got, widget)
	}
	for _, gvk := range []schema.GroupVersionKind{kind("", "v1", "Secret"), kind("other.example.com", "v1", "Widget"), kind("com", "v1", "Widget")} {
		if got := rules.For(gvk); got != nil {
			t.Errorf("For(%s) is a rule, want none", gvk)
		}
	}
	if got := health.Rules(nil).For(kind("example.com", "v1", "Widget")); got != nil {
		t.Error("without rules there is one")
	}
}

func TestKeyIsOfEachExpression(t *testing.T) {
	t.Parallel()
	keys := make(map[string]kustomize.HealthCheckExpressions)
	for _, exprs := range []kustomize.HealthCheckExpressions{
		{Current: "status.a"}, {Current: "status.b"},
		{Current: "status.a", Failed: "status.b"}, {Current: "status.a", InProgress: "status.b"},
		{Current: "status.b", Failed: "status.a"},
	} {
		key := rule(t, exprs).Key()
		if before, ok := keys[key]; ok {
			t.Errorf("%+v and %+v have the same key %q", exprs, before, key)
		}
		keys[key] = exprs
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	good := check("example.com/v1", "Widget", "true")
	with := func(exprs kustomize.HealthCheckExpressions) []kustomize.CustomHealthCheck {
		return []kustomize.CustomHealthCheck{check("example.com/v1", "Gadget", "true"), {APIVersion: "example.com/v1", Kind: "Widget", HealthCheckExpressions: exprs}}
	}
	tests := map[string]struct {
		why  string
		in   []kustomize.CustomHealthCheck
		want string
	}{
		"current":           {why: "the author finds the place", in: with(kustomize.HealthCheckExpressions{Current: "status."}), want: "healthCheckExprs[1].current: 1:8: Syntax error: no viable alternative at input '.'"},
		"failed":            {why: "the author finds the place", in: with(kustomize.HealthCheckExpressions{Current: "true", Failed: "(true"}), want: "healthCheckExprs[1].failed: 1:6: Syntax error: missing ')' at '<EOF>'"},
		"in progress":       {why: "the author finds the place", in: with(kustomize.HealthCheckExpressions{Current: "true", InProgress: "a\n  &"}), want: "healthCheckExprs[1].inProgress: 2:3: Syntax error: token recognition error at: '&'"},
		"no current":        {why: "nothing could become healthy", in: with(kustomize.HealthCheckExpressions{Failed: "false"}), want: "healthCheckExprs[1].current: is required"},
		"same kind":         {why: "which of them would be meant", in: []kustomize.CustomHealthCheck{good, good}, want: `healthCheckExprs[1]: Widget.example.com has a check already, in healthCheckExprs[0]`},
		"another version":   {why: "an object is the same in all versions", in: []kustomize.CustomHealthCheck{good, check("example.com/v2", "Widget", "true")}, want: `healthCheckExprs[1]: Widget.example.com has a check already, in healthCheckExprs[0]`},
		"same group":        {why: "which of them would be meant", in: []kustomize.CustomHealthCheck{check("example.com/v1", "", "true"), good, check("example.com/v2", "", "true")}, want: `healthCheckExprs[2]: group example.com has a check already, in healthCheckExprs[0]`},
		"same core group":   {why: "it has a name for people", in: []kustomize.CustomHealthCheck{check("v1", "", "true"), check("v1", "", "true")}, want: `healthCheckExprs[1]: the core group has a check already, in healthCheckExprs[0]`},
		"malformed version": {why: "nothing could match it", in: []kustomize.CustomHealthCheck{check("a/b/c", "Widget", "true")}, want: "healthCheckExprs[0].apiVersion: unexpected GroupVersion string: a/b/c"},
		"no version":        {why: "it would mean the core group by accident", in: []kustomize.CustomHealthCheck{check("", "Widget", "true")}, want: "healthCheckExprs[0].apiVersion: is required"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := health.Compile(tc.in)
			if err == nil || rules != nil {
				t.Fatalf("Compile() = %v, %v; want an error (%s)", rules, err, tc.why)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("Compile() says otherwise (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	checks := []kustomize.CustomHealthCheck{{
		APIVersion: "example.com/v1", Kind: "Widget", HealthCheckExpressions: kustomize.HealthCheckExpressions{
			InProgress: "status.conditions.exists(e, e.type == 'Ready' && e.status == 'Unknown')",
			Failed:     "status.conditions.exists(e, e.type == 'Ready' && e.status == 'False')",
			Current:    "status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')",
		},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := health.Compile(checks); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRuleOf(b *testing.B) {
	r := rule(b, kustomize.HealthCheckExpressions{
		Failed:  "status.conditions.exists(e, e.type == 'Ready' && e.status == 'False')",
		Current: "status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')",
	})
	in := widget("a", 1, "True")
	b.ReportAllocs()
	for b.Loop() {
		if s, why := r.Of(in); s != health.Current {
			b.Fatal(s, why)
		}
	}
}
