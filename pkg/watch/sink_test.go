package watch

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// counter is a handler that counts.
type counter struct{ saw, lost, listed, refused int }

func (c *counter) Saw(schema.GroupVersionResource, metav1.Object)              { c.saw++ }
func (c *counter) Lost(schema.GroupVersionResource, metav1.Object)             { c.lost++ }
func (c *counter) Listed(schema.GroupVersionResource, []metav1.Object, string) { c.listed++ }
func (c *counter) Refused(schema.GroupVersionResource, error)                  { c.refused++ }

// whole is a sink of a resource.
type whole = sink[schema.GroupVersionResource]

func fill(s *whole, obj any) error {
	return errors.Join(s.Add(obj), s.Update(obj), s.Delete(obj), s.Replace([]any{obj}, "1"), s.Resync())
}

// TestSinkIsSilentAfterTheEnd: a list that was under way when the watch was refused
// would make the resource look watched.
func TestSinkIsSilentAfterTheEnd(t *testing.T) {
	t.Parallel()
	for ended, want := range map[bool]counter{false: {saw: 2, lost: 1, listed: 1}, true: {}} {
		c := &counter{}
		if err := fill(&whole{handler: c, ended: func() bool { return ended }}, &metav1.PartialObjectMetadata{}); err != nil {
			t.Fatal(err)
		}
		if *c != want {
			t.Errorf("ended %v: the handler was told %+v, want %+v", ended, *c, want)
		}
	}
}

func TestSinkRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	s := &whole{handler: &counter{}, ended: func() bool { return false }}
	for name, err := range map[string]error{"Add": s.Add("x"), "Update": s.Update("x"), "Delete": s.Delete("x"), "Replace": s.Replace([]any{"x"}, "1")} {
		if !errors.Is(err, errNoObject) {
			t.Errorf("%s takes a string: %v", name, err)
		}
	}
}
