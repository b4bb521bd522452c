package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir.dev/deploy/localplane/internal/cli"
)

func TestMisuse(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(foreign, "thesis.txt")
	tests := map[string]struct {
		args   string
		status int
		want   string // in the error
	}{
		"no verb":                {args: "", status: 2, want: "a verb is missing"},
		"unknown verb":           {args: "start", status: 2, want: `"start" is none of`},
		"unknown flag":           {args: "up --dri x", status: 2, want: "up: flag provided but not defined: -dri"},
		"flag of another verb":   {args: "down --dir x --nodes 1", status: 2, want: "-nodes"},
		"argument without flag":  {args: "down x", status: 2, want: `"x" is not a flag`},
		"no folder for up":       {args: "up", status: 2, want: "--dir is missing"},
		"no folder for down":     {args: "down --delete", status: 2, want: "--dir is missing"},
		"no folder for status":   {args: "status", status: 2, want: "--dir is missing"},
		"bad duration":           {args: "up --dir x --idle soon", status: 2, want: `"soon"`},
		"negative duration":      {args: "up --dir x --idle -1s", status: 2, want: "--idle is -1s"},
		"too many nodes":         {args: "up --dir x --nodes 1000000", status: 2, want: "--nodes is 1000000"},
		"argument of version":    {args: "version now", status: 2, want: `"now" is not a flag`},
		"folder of others: up":   {args: "up --dir " + foreign, status: 1, want: "holds something else"},
		"folder of others: down": {args: "down --delete --dir " + foreign, status: 1, want: "holds something else"},
		"folder that cannot be":  {args: "up --dir " + file + "/x", status: 1, want: "not a directory"},
		"no plane: status":       {args: "status --dir " + foreign + "/x", status: 1, want: "no plane is there"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, out, err := run(t, strings.Fields(tc.args)...)
			if status != tc.status || out != "" || !strings.Contains(err, tc.want) {
				t.Errorf("status %d, output %q, error %q; want status %d, no output, error with %q", status, out, err, tc.status, tc.want)
			}
		})
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the folder of others was changed: %v", err)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "--help", "-h", "up --help", "down -h", "status --help"} {
		status, out, err := run(t, strings.Fields(args)...)
		if status != 0 || err != "" || !strings.Contains(out, "localplane up --dir DIR") {
			t.Errorf("%s: status %d, output %q, error %q; want the usage as output", args, status, out, err)
		}
	}
}

func TestDownOfNothing(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
		if status, _, err := run(t, "down", "--delete", "--dir", dir); status != 0 || err != "" {
			t.Errorf("down of %q: status %d, error %q; want that it is down already", dir, status, err)
		}
	}
	if _, err := os.Stat(empty); err != nil {
		t.Errorf("a folder that was never a plane's was removed: %v", err)
	}
}

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = cli.Main(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}
