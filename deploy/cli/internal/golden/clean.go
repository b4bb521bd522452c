package golden

import (
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	port = regexp.MustCompile(`127\.0\.0\.1:\d{4,5}`)
	// moment is a time as objects have it. It is replaced by one of the same width.
	moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	// took is a duration at the end of a line that says how long something took.
	took = regexp.MustCompile(`(?m)( in |^ {14}[a-z ]+  )\d[\dhms.]*s$`)
	// age stands alone in a cell of a table.
	age = regexp.MustCompile(`(?m)(^|  )(\d+[dhms](?:\d+[hms])?)( *)($|\S)`)
	uid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	// digest is that of what scripts have in common, as the index of charts.
	digest  = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	version = regexp.MustCompile(`(resourceVersion"?: )"\d+"`)
)

// cleaner returns what replaces all that differs from run to run.
func (r *run) cleaner(ts *testscript.TestScript) func(string) string {
	work := ts.Getenv("WORK")
	return func(text string) string { return clean(strings.ReplaceAll(text, work, "$WORK")) }
}

// clean replaces what differs from run to run by something of the same width, so that
// columns stay where they are.
func clean(text string) string {
	text = port.ReplaceAllString(text, "127.0.0.1:PORTS")
	text = moment.ReplaceAllString(text, "YYYY-MM-DDThh:mm:ssZ")
	text = digest.ReplaceAllString(text, "sha256:DIGEST")
	text = uid.ReplaceAllString(text, "UID")
	text = version.ReplaceAllString(text, `${1}"VERSION"`)
	text = took.ReplaceAllString(text, "${1}0s")
	return age.ReplaceAllStringFunc(text, func(cell string) string {
		part := age.FindStringSubmatch(cell)
		out := part[1] + "0s"
		if part[4] != "" {
			out += strings.Repeat(" ", max(0, len(part[2])+len(part[3])-len("0s"))) + part[4]
		}
		return out
	})
}
