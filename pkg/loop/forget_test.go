package loop

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "weir.dev/api/source/v1"
)

// forgetful notes what it is to forget.
type forgetful struct {
	kind
	forgotten []types.NamespacedName
	err       error
}

func (f *forgetful) Forget(_ context.Context, key types.NamespacedName) error {
	f.forgotten = append(f.forgotten, key)
	return f.err
}

// TestWhatIsNotThereIsForgotten, and only that. If it cannot be, there is another run.
func TestWhatIsNotThereIsForgotten(t *testing.T) {
	t.Parallel()
	w, f := newWorld(t, repository()), &forgetful{err: errFault}
	w.drive(f, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
	w.mustRun()
	if len(f.forgotten) > 0 {
		t.Fatalf("%v was forgotten while it is there", f.forgotten)
	}
	w.readFault = gone()
	if _, err := w.run(); !errors.Is(err, errFault) {
		t.Errorf("the run ends with %v; want what keeps it from being forgotten", err)
	}
	f.err = nil
	w.mustRun()
	if diff := cmp.Diff([]types.NamespacedName{w.key, w.key}, f.forgotten); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}
