package daemon

import (
	"log"
	"strings"

	"github.com/go-logr/logr"
)

// takeStandardLog has what libraries write to the standard logger of Go, for they know no
// other, be lines of ours, so that whoever reads our log can read all of it.
func takeStandardLog(to logr.Logger) {
	log.SetFlags(0) // ours have the time
	log.SetOutput(standard{to})
}

// standard is where the standard logger writes, a line at a time.
type standard struct{ log logr.Logger }

// Write implements io.Writer.
func (s standard) Write(line []byte) (int, error) {
	if text := strings.TrimSpace(string(line)); text != "" {
		s.log.Info("a library says", "text", text)
	}
	return len(line), nil
}
