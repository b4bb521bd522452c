package health_test

import (
	"context"
	"strings"
	"testing"

	"weir.dev/pkg/health"
)

func TestReadyHolds(t *testing.T) {
	t.Parallel()
	const (
		self = "metadata: {labels: {app: v2}}, spec: {path: ./a}"
		dep  = "metadata: {generation: 2, labels: {app: v2}}, status: {observedGeneration: 2, phase: Up, conditions: [{type: Ready, status: 'True'}]}"
	)
	tests := map[string]struct {
		why  string
		expr string
		want bool
		err  string // part of it
	}{
		"dep":           {why: "", expr: "dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True') && dep.status.observedGeneration == dep.metadata.generation", want: true},
		"not so":        {why: "", expr: "dep.status.phase == 'Down'"},
		"self and dep":  {why: "a dependent may ask for its own version", expr: "self.metadata.labels['app'] == dep.metadata.labels['app']", want: true},
		"whole objects": {why: "both are there as the API has them", expr: "self.kind == 'Widget' && dep.apiVersion == 'example.com/v1'", want: true},
		"as a boolean":  {why: "fields have no type, so who asks for one compares it", expr: "dep.?status.?ready.orValue(true) == true", want: true},
		"no such field": {why: "the author must write has()", expr: "dep.status.ready == true", err: "no such key: ready"},
		"too much":      {why: "one author must not hold up everybody", expr: "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))", err: "cost limit exceeded"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := health.CompileReady(tc.expr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Holds(t.Context(), content(t, self), content(t, dep))
			if got != tc.want || (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("Holds() = %t, %v; want %t, %q (%s)", got, err, tc.want, tc.err, tc.why)
			}
		})
	}
}

// content is a Widget, as readyExpr sees it.
func content(t testing.TB, text string) map[string]any {
	t.Helper()
	return object(t, "{apiVersion: example.com/v1, kind: Widget, "+text+"}").Object
}

func TestHoldsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r, err := health.CompileReady("dep.l.all(a, dep.l.all(b, a + b > 0))")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	long := content(t, "l: ["+strings.Repeat("1,", 200)+"1]")
	if got, err := r.Holds(ctx, nil, long); err == nil || got {
		t.Errorf("Holds() = %t, %v after the end; want an error", got, err)
	}
	if got, err := r.Holds(t.Context(), nil, long); err != nil || !got {
		t.Errorf("Holds() = %t, %v; want true", got, err)
	}
}

func TestCompileReadyRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, expr, want string
	}{
		"syntax":             {why: "", expr: "dep.status.", want: "1:12: Syntax error"},
		"nothing":            {why: "it says neither yes nor no", expr: "", want: "Syntax error"},
		"a word":             {why: "it says neither yes nor no", expr: "'yes'", want: "is of type string, not bool"},
		"a field":            {why: "it may be anything: who means a boolean compares it", expr: "dep.status.ready", want: "is of type dyn, not bool"},
		"an optional field":  {why: "it may be anything", expr: "dep.?status.?ready.orValue(true)", want: "is of type dyn, not bool"},
		"unknown variable":   {why: "there are two only", expr: "status.ready == true", want: "1:1: undeclared reference to 'status'"},
		"objects are no map": {why: "types are checked as far as they are known", expr: "dep == 'ready'", want: "1:5: found no matching overload"},
		"one of many errors": {why: "a message is one line", expr: "a && b && c", want: "1:1: undeclared reference to 'a'"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := health.CompileReady(tc.expr)
			if err == nil || r != nil {
				t.Fatalf("CompileReady() = %v, %v; want an error (%s)", r, err, tc.why)
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("CompileReady() says %q; want one line with %q (%s)", err, tc.want, tc.why)
			}
		})
	}
}

func BenchmarkCompileReady(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := health.CompileReady("dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True') && dep.status.observedGeneration == dep.metadata.generation"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	r, err := health.CompileReady("dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True') && dep.status.observedGeneration == dep.metadata.generation")
	if err != nil {
		b.Fatal(err)
	}
	dep := content(b, "metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: 'True'}]}")
	b.ReportAllocs()
	for b.Loop() {
		if holds, err := r.Holds(b.Context(), dep, dep); err != nil || !holds {
			b.Fatal(holds, err)
		}
	}
}
