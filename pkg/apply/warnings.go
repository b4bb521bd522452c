package apply

import (
	"context"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

const (
	// codeMiscellaneous is the code of all warnings of an API server.
	codeMiscellaneous = 299
	// maxWarnings bounds how many different warnings are remembered.
	maxWarnings = 1000
)

// warnings tells each warning of an API server once. Without it, the same ones would be
// logged for every object and every run.
type warnings struct {
	tell func(string)

	mu   sync.Mutex
	told map[string]bool
}

// NewWarnings returns a handler for a connection to an API server that tells each of its
// warnings once; tell may be nil.
func NewWarnings(tell func(text string)) rest.WarningHandlerWithContext { return &warnings{tell: tell} }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext. Names of
// finalizers are the business of whoever defined the kind.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if w.tell == nil || code != codeMiscellaneous || text == "" || strings.Contains(text, "domain-qualified finalizer name") {
		return
	}
	w.mu.Lock()
	news := !w.told[text] && len(w.told) < maxWarnings
	if news {
		if w.told == nil {
			w.told = make(map[string]bool)
		}
		w.told[text] = true
	}
	w.mu.Unlock()
	if news {
		w.tell(text)
	}
}
