package apply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"weir.dev/pkg/manifest"
)

// errorList gathers errors from several goroutines, in the order of their text so
// that a message is stable.
type errorList struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorList) add(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// try runs what is done about an object in a goroutine of its own, and adds the error. A
// panic is one, too: objects are made by users, and that of one must not end the process
// for all. What it says could be a value that must not be told; the log has the stack.
func (l *errorList) try(ctx context.Context, id manifest.ID, do func() error) {
	defer func() {
		if recover() != nil {
			logr.FromContextOrDiscard(ctx).Error(nil, "work on an object panicked", "object", id.String(), "stack", string(debug.Stack()))
			l.add(fmt.Errorf("%s: panic: the log of the controller says where", id))
		}
	}()
	l.add(do())
}

func (l *errorList) empty() bool { return len(l.errs) == 0 }

// failure says what was tried with an object and why it did not work. It is the same
// text for the same reason: which ports a connection had is left out.
func failure(id manifest.ID, attempt string, err error) error {
	if broken := (*net.OpError)(nil); errors.As(err, &broken) {
		return fmt.Errorf("%s %s: the connection to the API server broke: %w", id, attempt, broken.Err)
	}
	reason := apierrors.ReasonForError(err)
	if reason == "" {
		return fmt.Errorf("%s %s: %w", id, attempt, err)
	}
	return fmt.Errorf("%s %s (%s): %w", id, attempt, reason, err)
}

// join returns one error with the text of all, sorted, so that it is the same
// whichever request was answered first.
func (l *errorList) join() error {
	slices.SortFunc(l.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(l.errs...)
}
