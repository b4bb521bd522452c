package health

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

const (
	// costLimit bounds one evaluation, in the units of CEL. It is what an API server
	// grants an expression of its own: about a tenth of a second.
	costLimit = 1_000_000
	// interruptEvery is how many steps of a loop an evaluation does between looks at
	// its context.
	interruptEvery = 100
)

// dialect is the CEL of Flux: its extensions and its strictness.
var dialect = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(), ext.Sets(), ext.Encoders(),
	)
})

// expression is one that answers yes or no. It is safe for concurrent use.
type expression struct{ program cel.Program }

// parse makes an expression whose variables are known only when it is evaluated, so
// that no types can be checked before.
func parse(text string) (*expression, error) {
	env, err := dialect()
	if err != nil {
		return nil, err
	}
	tree, issues := env.Parse(text)
	if err := firstOf(issues); err != nil {
		return nil, err
	}
	return program(env, tree)
}

// compile makes a boolean expression over variables that env declares. Types are
// checked as far as they are known.
func compile(env *cel.Env, text string) (*expression, error) {
	tree, issues := env.Compile(text)
	if err := firstOf(issues); err != nil {
		return nil, err
	}
	if got := tree.OutputType(); !got.IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("it is of type %s, not bool", got)
	}
	return program(env, tree)
}

// firstOf returns the first issue in one line; those after it often follow from it.
func firstOf(issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	all := issues.Errors()
	if len(all) == 0 {
		return issues.Err()
	}
	first := all[0]
	return fmt.Errorf("%d:%d: %s", first.Location.Line(), first.Location.Column()+1, first.Message)
}

func program(env *cel.Env, tree *cel.Ast) (*expression, error) {
	p, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(interruptEvery), cel.CostLimit(costLimit))
	if err != nil {
		return nil, err
	}
	return &expression{program: p}, nil
}

// holds evaluates the expression.
func (e *expression) holds(ctx context.Context, variables map[string]any) (bool, error) {
	value, _, err := e.program.ContextEval(ctx, variables)
	if err != nil {
		return false, err
	}
	answer, ok := value.(types.Bool)
	if !ok {
		return false, errors.New("it is of type " + value.Type().TypeName() + ", not bool")
	}
	return bool(answer), nil
}
