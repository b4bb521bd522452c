package writeback

import (
	"errors"
	"fmt"
	"reflect"
	"text/template"
	"text/template/parse"
)

const (
	// allFuel is what one message may cost: about a second of work.
	allFuel = 64 << 20
	// turnCost is that of going once round a loop.
	turnCost = 1 << 10
	// stepCost is that of a call, and of a value in another.
	stepCost = 64
	// maxValue is how large the arguments of one call may be together, and what it
	// returns: bytes of text, and stepCost for each value.
	maxValue = 1 << 20
	// maxNesting is how deep values may be in each other.
	maxNesting = 64
	// stepName is the function that loops call.
	stepName = "writeback_step"
)

var (
	errFuel  = errors.New("it does too much")
	errLarge = fmt.Errorf("a value has more than %d bytes", maxValue)
	errDeep  = fmt.Errorf("a value is nested more than %d levels deep", maxNesting)
)

// fuel is what is left of the work that a template may do. What limits templates is counted
// and not timed, so that one that works once works always.
type fuel struct{ left int }

func (f *fuel) fill() { f.left = allFuel }

// burn uses some of it.
func (f *fuel) burn(n int) error {
	if f.left -= n; f.left < 0 {
		return errFuel
	}
	return nil
}

// step is what is burnt where a template can go round. It prints nothing.
func (f *fuel) step() (string, error) { return "", f.burn(turnCost) }

// metered returns a function that does what fn does and burns fuel by the size of what it
// is given and returns. before, which may be nil, refuses arguments that would make too
// much of themselves.
func (f *fuel) metered(fn any, before limit) any {
	v := reflect.ValueOf(fn)
	t := v.Type()
	failed := reflect.TypeFor[error]()
	var ins []reflect.Type
	for i := range t.NumIn() {
		ins = append(ins, t.In(i))
	}
	wrapped := reflect.FuncOf(ins, []reflect.Type{t.Out(0), failed}, t.IsVariadic())
	return reflect.MakeFunc(wrapped, func(args []reflect.Value) []reflect.Value {
		fail := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		if err := f.weigh(args); err != nil {
			return fail(err)
		}
		if before != nil {
			if err := before(args); err != nil {
				return fail(err)
			}
		}
		out := call(v, args)
		if len(out) > 1 && !out[1].IsNil() {
			return []reflect.Value{out[0], out[1]}
		}
		if err := f.weigh(out[:1]); err != nil {
			return fail(err)
		}
		return []reflect.Value{out[0], reflect.Zero(failed)}
	}).Interface()
}

func call(fn reflect.Value, args []reflect.Value) []reflect.Value {
	if fn.Type().IsVariadic() {
		return fn.CallSlice(args)
	}
	return fn.Call(args)
}

// weigh burns fuel by the size of values, and refuses them if they are too large.
func (f *fuel) weigh(values []reflect.Value) error {
	w := scale{left: maxValue}
	for _, v := range values {
		if err := w.add(v, 0); err != nil {
			return err
		}
	}
	return f.burn(stepCost + maxValue - w.left)
}

// scale measures values, also those that have themselves in them.
type scale struct{ left int }

func (s *scale) add(v reflect.Value, depth int) error {
	if s.left -= stepCost; s.left < 0 {
		return errLarge
	}
	if depth > maxNesting {
		return errDeep
	}
	switch v.Kind() {
	case reflect.String:
		if s.left -= v.Len(); s.left < 0 {
			return errLarge
		}
		return nil
	case reflect.Map:
		return s.addMap(v, depth+1)
	default:
		return s.addParts(v, depth+1)
	}
}

func (s *scale) addMap(v reflect.Value, depth int) error {
	for entries := v.MapRange(); entries.Next(); {
		if err := errors.Join(s.add(entries.Key(), depth), s.add(entries.Value(), depth)); err != nil {
			return err
		}
	}
	return nil
}

// addParts measures what a value is made of.
func (s *scale) addParts(v reflect.Value, depth int) error {
	parts, part := 0, v.Index
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			return s.add(v.Elem(), depth)
		}
	case reflect.Slice, reflect.Array:
		parts = v.Len()
	case reflect.Struct:
		parts, part = v.NumField(), v.Field
	}
	for i := range parts {
		if err := s.add(part(i), depth); err != nil {
			return err
		}
	}
	return nil
}

// meter makes every loop of a template, and every template that is called, begin with a
// step.
func meter(t *template.Template) error {
	for _, defined := range t.Templates() {
		if defined.Tree == nil || defined.Root == nil {
			continue
		}
		var err error
		walk(defined.Root, func(n parse.Node) {
			if loop, ok := n.(*parse.RangeNode); ok {
				err = errors.Join(err, begin(loop.List))
			}
		})
		if err := errors.Join(err, begin(defined.Root)); err != nil {
			return err
		}
	}
	return nil
}

// begin puts a step before a list.
func begin(list *parse.ListNode) error {
	made, err := parse.Parse("step", "{{"+stepName+"}}", "", "", map[string]any{stepName: true})
	if err != nil {
		return fmt.Errorf("making a step of a template: %w", err)
	}
	list.Nodes = append([]parse.Node{made["step"].Root.Nodes[0]}, list.Nodes...)
	return nil
}
