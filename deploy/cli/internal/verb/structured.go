package verb

import (
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
)

// moment returns a time as objects have it, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// checkStructured refuses formats that tables of findings are not printed in.
func checkStructured(format string) error {
	switch format {
	case show.Text, show.Wide, show.JSON, show.YAML:
		return nil
	}
	return fmt.Errorf("there is no output format %q: take wide, json or yaml", format)
}

// printStructured prints findings for programs.
func printStructured(s *session.Session, format string, v any) error {
	if format == show.YAML {
		text, err := yaml.Marshal(v)
		if err == nil {
			_, err = s.Out.Write(text)
		}
		return err
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = fmt.Fprintln(s.Out, string(text))
	}
	return err
}
