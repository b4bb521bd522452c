package action

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// lines is how many lines of the log are kept.
const lines = 10

// logs keeps the last lines of a log.
type logs struct {
	mask func(string) string

	mu   sync.Mutex
	last []string
	text string // of the last line, without its time
}

// printf adds a line, unless it repeats the last.
func (l *logs) printf(format string, args ...any) {
	text := l.mask(fmt.Sprintf(format, args...))
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.text {
		return
	}
	if l.text = text; len(l.last) == lines {
		l.last = l.last[1:]
	}
	l.last = append(l.last, time.Now().UTC().Format(time.RFC3339Nano)+": "+text)
}

// all returns the lines that are kept.
func (l *logs) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.last...)
}

// WithoutValues returns what the standard logger of Go is to write to, in the place of
// another writer. The SDK warns there of values that do not fit the chart, and shows them,
// though they may come from Secrets.
func WithoutValues(to io.Writer) io.Writer { return withoutValues{to} }

type withoutValues struct{ io.Writer }

// Write implements io.Writer.
func (w withoutValues) Write(line []byte) (int, error) {
	text, shows := strings.CutPrefix(string(line), "warning: ")
	before, _, found := strings.Cut(text, " (")
	if !shows || !found {
		return w.Writer.Write(line)
	}
	if _, err := io.WriteString(w.Writer, "warning: "+before+" (the value is not shown)\n"); err != nil {
		return 0, err
	}
	return len(line), nil
}
