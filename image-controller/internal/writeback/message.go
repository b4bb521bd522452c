package writeback

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"text/template"
	"text/template/parse"
)

const (
	// DefaultMessage is the message of a commit without a template.
	DefaultMessage = "Update from image update automation"
	// MaxMessage is how many bytes of a message are made. The rest is left out.
	MaxMessage = 64 << 10
	// maxTemplate is how many bytes a template may have.
	maxTemplate = 64 << 10
)

var (
	// ErrTemplate: a template is malformed, and will never make a message.
	ErrTemplate = errors.New("invalid template of the commit message")
	// ErrRemovedField: a template uses data that earlier versions of the API had.
	ErrRemovedField = errors.New("a field of the template that was removed")
	// ErrMessage: a template makes no message of these changes.
	ErrMessage = errors.New("the template of the commit message fails")
)

// Automation is the object that a commit is made for.
type Automation struct {
	Namespace string
	Name      string
}

// Data is what templates see.
type Data struct {
	// AutomationObject is whose template it is.
	AutomationObject Automation
	// Changed is what the commit changes.
	Changed Changed
	// Values are those of the spec.
	Values map[string]string
}

// Updated was data of earlier versions of the API.
func (Data) Updated() (string, error) { return "", removed(".Updated") }

func removed(field string) error {
	return fmt.Errorf("%w: %s; use .Changed.Changes, .Changed.Objects or .Changed.FileChanges", ErrRemovedField, field)
}

// Template makes messages. It is for one goroutine at a time.
type Template struct {
	parsed *template.Template
	fuel   *fuel
}

// Parse reads a template. An empty one is DefaultMessage. The error is ErrRemovedField or
// ErrTemplate.
func Parse(text string) (*Template, error) {
	if text == "" {
		text = DefaultMessage
	}
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTemplate, maxTemplate)
	}
	f := new(fuel)
	parsed, err := template.New("messageTemplate").Funcs(f.functions()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrTemplate, spoken(err))
	}
	if parsed.Tree == nil || parsed.Root == nil {
		return nil, fmt.Errorf("%w: it defines templates and uses none", ErrTemplate)
	}
	if err := checkFields(parsed.Root); err != nil {
		return nil, err
	}
	if err := checkCalls(parsed); err != nil {
		return nil, err
	}
	return &Template{parsed: parsed, fuel: f}, meter(parsed)
}

// Message returns the message for some changes. The error is ErrRemovedField or ErrMessage.
func (t *Template) Message(d Data) (string, error) {
	d.Values = maps.Clone(d.Values) // which functions may change
	t.fuel.fill()
	var out bounded
	err := t.parsed.Execute(&out, d)
	switch {
	case errors.Is(err, ErrRemovedField):
		return "", fmt.Errorf("%w: %s", ErrRemovedField, spoken(err))
	case errors.Is(err, errFull):
		return clean(out.String()) + "\n…", nil // a commit is worth more than all of its message
	case err != nil:
		return "", fmt.Errorf("%w: %s", ErrMessage, spoken(err))
	}
	message := clean(out.String())
	if message == "" {
		return "", fmt.Errorf("%w: the message is empty", ErrMessage)
	}
	return message, nil
}

// clean makes a message one that a commit can have.
func clean(message string) string {
	message = strings.ReplaceAll(message, "\x00", "")
	return strings.TrimSpace(strings.ToValidUTF8(message, "\uFFFD"))
}

// spoken is what an error of a template says, which may quote all of it, in a length that
// a condition can have.
func spoken(err error) string {
	const most = 512
	said := strings.ToValidUTF8(strings.TrimPrefix(err.Error(), "template: "), "\uFFFD")
	if runes := []rune(said); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return said
}

// errFull ends a template that has made as much as there is room for.
var errFull = errors.New("the message is full")

// bounded is a message that does not become too long.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	room := MaxMessage - b.Len()
	if len(p) <= room {
		return b.Builder.Write(p)
	}
	n, _ := b.Builder.Write(p[:room]) // it never fails
	return n, errFull
}

// checkCalls refuses templates that call each other in a circle: how deep that goes is
// known to nobody.
func checkCalls(t *template.Template) error {
	const (
		visiting = iota + 1
		visited
	)
	state := make(map[string]int)
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case visiting:
			return fmt.Errorf("%w: the template %q calls itself", ErrTemplate, name)
		case visited:
			return nil
		}
		state[name] = visiting
		if called := t.Lookup(name); called != nil && called.Tree != nil {
			var err error
			walk(called.Root, func(n parse.Node) {
				if call, ok := n.(*parse.TemplateNode); ok && err == nil {
					err = visit(call.Name)
				}
			})
			if err != nil {
				return err
			}
		}
		state[name] = visited
		return nil
	}
	for _, defined := range t.Templates() {
		if err := visit(defined.Name()); err != nil {
			return err
		}
	}
	return nil
}
