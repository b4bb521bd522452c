package correction

import (
	"fmt"
	"strings"
	"time"

	"weir.dev/pkg/drift"
	"weir.dev/pkg/loop"
)

// Keys of the metadata of an event about drift. Where several fields were changed, each
// value has a line for each of them.
const (
	MetaObject  = "object"
	MetaField   = "field"
	MetaFrom    = "from"
	MetaTo      = "to"
	MetaManager = "manager"
	MetaTime    = "time"
)

// Corrected is the event that an object was put back.
func (f Finding) Corrected(reason string) loop.Event { return f.event(reason, ", restored") }

// Detected is the event that an object was changed, and was left so.
func (f Finding) Detected(reason string) loop.Event {
	e := f.event(reason, "")
	e.Warning = true
	return e
}

// Contested are the events about fields that somebody takes back at once each time.
func (f Finding) Contested(reason string) []loop.Event {
	var list []loop.Event
	for _, p := range f.Pauses {
		message := fmt.Sprintf("%s: deleted or taken over at once each time, restored %d times, now left alone for %s", f.ID, p.Times, p.For)
		if p.Change.Path != "" {
			message = fmt.Sprintf("%s: %s, taken back at once each time, restored %d times, now left alone for %s", f.ID, p.Change, p.Times, p.For)
		}
		list = append(list, loop.Event{Warning: true, Reason: reason, Message: message, Metadata: map[string]string{}})
	}
	return list
}

// event tells who changed the object, a line a field, with what became of it.
func (f Finding) event(reason, then string) loop.Event {
	e := loop.Event{Reason: reason, Metadata: map[string]string{MetaObject: f.ID.String()}}
	if len(f.Taken) == 0 {
		what := "deleted"
		if f.Existed {
			what = "changed" // and somebody has undone that in between
		}
		e.Message = fmt.Sprintf("%s: %s%s", f.ID, what, then)
		return e
	}
	lines := make([]string, len(f.Taken))
	facts := make(map[string][]string)
	for i, t := range f.Taken {
		lines[i] = fmt.Sprintf("%s: %s%s", f.ID, t, then)
		for key, value := range map[string]string{MetaField: t.Path, MetaFrom: t.From, MetaTo: t.To, MetaManager: t.Manager, MetaTime: timeOf(t)} {
			facts[key] = append(facts[key], value)
		}
	}
	e.Message = strings.Join(lines, "\n")
	for key, values := range facts {
		e.Metadata[key] = strings.Join(values, "\n")
	}
	return e
}

// timeOf is when a field was changed, "" if that is not told.
func timeOf(c drift.Change) string {
	if c.Time.IsZero() {
		return ""
	}
	return c.Time.UTC().Format(time.RFC3339)
}
