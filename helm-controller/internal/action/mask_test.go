package action

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMask(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		values map[string]any
		in     string
		want   string
	}{
		"nothing":    {"", nil, "port 80 is taken", "port 80 is taken"},
		"anywhere":   {"long texts tell much", map[string]any{"a": map[string]any{"b": []any{"hunter22"}}}, "user:hunter22@host", "user:***@host"},
		"quoted":     {"a short text stands in many words", map[string]any{"a": "on"}, `condition "on" is 'on'`, `condition "***" is '***'`},
		"numbers":    {"a number may be a PIN", map[string]any{"pin": 123456.0}, "got 123456", "got ***"},
		"large":      {"templates write it with an exponent, and YAML without", map[string]any{"pin": 123456789.0}, "123456789 or 1.23456789e+08", "*** or ***"},
		"whole":      {"it may have come as one", map[string]any{"a": int64(123456789), "b": 123456787}, "1.23456789e+08, 123456787, 1.23456787e+08", "***, ***, ***"},
		"booleans":   {"they tell nothing", map[string]any{"a": true}, `got "true"`, `got "true"`},
		"lines":      {"a key has many", map[string]any{"key": "BEGIN\nabcdef\nEND"}, "line 2: abcdef", "line 2: ***"},
		"escaped":    {"as Go quotes it", map[string]any{"key": "ab\ncd\tef"}, `got "ab\ncd\tef"`, `got "***"`},
		"the longer": {"is masked as a whole", map[string]any{"a": "secret", "b": "secretive"}, "secretive", "***"},
	}
	for name, tc := range tests {
		if got := Mask(Sensitive(tc.values))(tc.in); got != tc.want {
			t.Errorf("%s: %q, want %q: %s", name, got, tc.want, tc.why)
		}
	}
}

// TestMaskOfAnEntry: nobody knows whether an entry of a Secret is a text or a document.
func TestMaskOfAnEntry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, entry, in, want string }{
		"a text":                {"it is a password", "hunter22", "got hunter22", "got ***"},
		"a number":              {"it is written in two ways", "123456789", "got 1.23456789e+08, not 123456789", "got ***, not ***"},
		"a document":            {"keys are no secrets", "name: alice\npassword: hunter22\n", "password: hunter22 of alice", "password: *** of ***"},
		"a map":                 {"it may be a password", "on: off", "got on: off", "got ***"},
		"a map in braces":       {"it may be a password", "{hunter22}", "got {hunter22} or hunter22", "got *** or ***"},
		"a map without a value": {"it may be a password", "hunter22:", "got hunter22: or hunter22", "got *** or ***"},
		"one value":             {"its key is no secret", "password: hunter22\n", "at password: got hunter22", "at password: got ***"},
	}
	for name, tc := range tests {
		if got := Mask(SensitiveText(tc.entry))(tc.in); got != tc.want {
			t.Errorf("%s: %q, want %q: %s", name, got, tc.want, tc.why)
		}
	}
}

// TestUnlike: a value that is as it was may be shown as it is.
func TestUnlike(t *testing.T) {
	t.Parallel()
	stored := map[string]any{"same": "one", "other": "two", "number": 5.0, "list": []any{"a", "b"}, "more": []any{"c"}, "gone": map[string]any{"deep": "three"}, "map": "four", "none": nil}
	present := map[string]any{"same": "one", "other": "2", "number": 5, "list": []any{"a", "b"}, "more": []any{"c", "d"}, "map": map[string]any{}}
	if diff := cmp.Diff([]string{"three", "four", "c", "two"}, unlike(stored, present)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := unlike(stored, nil); len(got) != 8 {
		t.Errorf("without any values, %q are unlike them; want all texts", got)
	}
}

// TestLogs: the last lines are kept, with their times, and none twice in a row.
func TestLogs(t *testing.T) {
	t.Parallel()
	l := &logs{mask: Mask([]string{"hunter22"})}
	for i := range 15 {
		l.printf("line %d of hunter22", i)
		l.printf("line %d of hunter22", i)
	}
	got := l.all()
	if len(got) != lines || !strings.HasSuffix(got[0], "Z: line 5 of ***") || !strings.HasSuffix(got[lines-1], "Z: line 14 of ***") {
		t.Errorf("kept %q", got)
	}
	if slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "hunter22") }) {
		t.Errorf("shown: %q", got)
	}
}

// TestSchemaIsQuotedInOrder: the SDK goes through a map.
func TestSchemaIsQuotedInOrder(t *testing.T) {
	t.Parallel()
	err := errors.New("values don't meet the specifications:\nparent:\n- at '/b': is 1\n- at '/a': is 2\nchild:\n- at '/d': is 3\n- at '/c': is 4\n")
	want := "values don't meet the specifications:\nparent:\n- at '/a': is 2\n- at '/b': is 1\nchild:\n- at '/c': is 4\n- at '/d': is 3\n"
	if got := Masked(err, nil).Error(); got != want {
		t.Errorf("the error says\n%s\nwant\n%s", got, want)
	}
}
