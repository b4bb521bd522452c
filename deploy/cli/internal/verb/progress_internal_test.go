package verb

import (
	"bytes"
	"strings"
	"testing"

	"weir.dev/deploy/cli/internal/session"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		terminal bool
		env      map[string]string
		bar      bool
	}{
		"a screen":                    {why: "it can show how far things are", terminal: true, bar: true},
		"a file":                      {why: "it keeps what was done, and nothing that moves"},
		"a screen, NO_COLOR":          {why: "somebody wants it plain", terminal: true, env: map[string]string{"NO_COLOR": "1"}},
		"a screen that is a teletype": {why: "it cannot go back in a line", terminal: true, env: map[string]string{"TERM": "dumb"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			p := newProgress(session.New(session.Streams{Err: &said, Terminal: tc.terminal}, func(name string) string { return tc.env[name] }), 2)
			p.done("one")
			p.done("two")
			p.end()
			p.end()
			for _, want := range []string{"✔ one\n", "✔ two\n"} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("it says %q, and no %q", said.String(), want)
				}
			}
			if got := strings.Contains(said.String(), "\r"); got != tc.bar {
				t.Errorf("there is a bar: %t, want %t: %s\n%q", got, tc.bar, tc.why, said.String())
			}
		})
	}
}
