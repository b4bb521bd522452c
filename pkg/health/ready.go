package health

import (
	"context"
	"sync"

	"github.com/google/cel-go/cel"
)

// Ready is a condition that a dependent puts on its dependency. It is safe for
// concurrent use.
type Ready struct{ *expression }

// pair declares a dependent and its dependency.
var pair = sync.OnceValues(func() (*cel.Env, error) {
	env, err := dialect()
	if err != nil {
		return nil, err
	}
	object := cel.ObjectType("google.protobuf.Struct")
	return env.Extend(cel.Variable("self", object), cel.Variable("dep", object))
})

// CompileReady makes a condition of a boolean expression of CEL over two whole
// objects: self, the dependent, and dep, the dependency. Fields of objects have no
// type before they are there, so an expression that is only a field is refused; who
// means a boolean compares it with true.
//
// That takes in the order of a millisecond, and many times as long as Holds: who needs
// a Ready again keeps it.
func CompileReady(expr string) (*Ready, error) {
	env, err := pair()
	if err != nil {
		return nil, err
	}
	e, err := compile(env, expr)
	if err != nil {
		return nil, err
	}
	return &Ready{e}, nil
}

// Holds reports whether the condition is met. It fails where a field is missing that
// the expression does not ask for by has(), and when it takes too long.
func (r *Ready) Holds(ctx context.Context, self, dep map[string]any) (bool, error) {
	return r.holds(ctx, map[string]any{"self": self, "dep": dep})
}
