package writeback

import (
	"text/template/parse"
)

// walk visits the nodes below one that are on lists: those that do something, and not what
// their values are made of.
func walk(n parse.Node, visit func(parse.Node)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			visit(child)
			walk(child, visit)
		}
	case *parse.IfNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, visit)
	}
}

func walkBranch(b *parse.BranchNode, visit func(parse.Node)) {
	walk(b.List, visit)
	walk(b.ElseList, visit)
}

// checkFields refuses a template that uses data that was removed, where it can be seen
// without executing it: the data itself is the dot outside of range and with, and $
// everywhere. What else there may be fails when it is executed.
func checkFields(root *parse.ListNode) error {
	return fieldCheck{}.list(root, true)
}

// fieldCheck looks for fields that were removed.
type fieldCheck struct{}

func (c fieldCheck) list(l *parse.ListNode, dot bool) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n, dot); err != nil {
			return err
		}
	}
	return nil
}

// node checks one node; dot says whether the dot is the data.
func (c fieldCheck) node(n parse.Node, dot bool) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		return c.pipe(n.Pipe, dot)
	case *parse.TemplateNode:
		return c.pipe(n.Pipe, dot)
	case *parse.IfNode:
		return c.branch(&n.BranchNode, dot, dot)
	case *parse.RangeNode:
		return c.branch(&n.BranchNode, dot, false)
	case *parse.WithNode:
		return c.branch(&n.BranchNode, dot, false)
	default:
		return nil
	}
}

// branch checks a branch inside of which the dot may be another.
func (c fieldCheck) branch(b *parse.BranchNode, dot, inside bool) error {
	if err := c.pipe(b.Pipe, dot); err != nil {
		return err
	}
	if err := c.list(b.List, inside); err != nil {
		return err
	}
	return c.list(b.ElseList, dot)
}

func (c fieldCheck) pipe(p *parse.PipeNode, dot bool) error {
	if p == nil {
		return nil
	}
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			if err := c.argument(arg, dot); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c fieldCheck) argument(n parse.Node, dot bool) error {
	switch n := n.(type) {
	case *parse.FieldNode:
		if dot {
			return removedField(n.Ident)
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return removedField(n.Ident[1:])
		}
	case *parse.ChainNode:
		return c.argument(n.Node, dot)
	case *parse.PipeNode:
		return c.pipe(n, dot)
	}
	return nil
}

// removedField returns an error if a path into the data leads to what was removed.
func removedField(path []string) error {
	switch {
	case len(path) > 0 && path[0] == "Updated":
		return removed(".Updated")
	case len(path) > 1 && path[0] == "Changed" && path[1] == "ImageResult":
		return removed(".Changed.ImageResult")
	default:
		return nil
	}
}
