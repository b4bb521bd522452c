package mask

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		hidden []string
		in     string
		want   string
	}{
		"nothing":             {"", nil, "port 80 is taken", "port 80 is taken"},
		"anywhere":            {"a long text tells much", []string{"hunter22"}, "user:hunter22@host", "user:***@host"},
		"each time":           {"once is enough to know it", []string{"hunter22"}, "hunter22 and hunter22", "*** and ***"},
		"part of another":     {"the rest would be told", []string{"secret", "secretive"}, "secretive", "***"},
		"lines":               {"a key has many", []string{"BEGIN\nabcdef\nEND"}, "line 2: abcdef", "line 2: ***"},
		"quoted":              {"as Go does", []string{"ab\ncd\tef"}, `got "ab\ncd\tef"`, `got "***"`},
		"in JSON":             {"it escapes what HTML would read", []string{"a<b&c"}, `got "a\u003cb\u0026c"`, `got "***"`},
		"space around":        {"templates trim it", []string{" hunter22\n"}, "got hunter22.", "got ***."},
		"only space":          {"it says nothing", []string{"", " \n"}, "some text", "some text"},
		"a short one":         {"it stands in many words", []string{"on"}, `condition "on" is 'on'`, `condition "***" is '***'`},
		"a short one, spaced": {"a file ends with a newline", []string{"on\n"}, `condition "on"`, `condition "***"`},
		"base64":              {"b64enc writes it", []string{"hunter22"}, "got " + encoded("hunter22"), "got ***"},
		"base64, trimmed":     {"it is trimmed before", []string{"hunter22\n"}, "got " + encoded("hunter22"), "got ***"},
		"base64, untrimmed":   {"it is not", []string{"hunter22\n"}, "got " + encoded("hunter22\n"), "got ***"},
		"base64, no padding":  {"tokens have none", []string{"hunter22"}, "got " + base64.RawURLEncoding.EncodeToString([]byte("hunter22")) + ".", "got ***."},
		"base64 for URLs":     {"it has other digits", []string{"<<???>>"}, "got " + base64.URLEncoding.EncodeToString([]byte("<<???>>")), "got ***"},
		"of a query":          {"urlquery writes it", []string{"p@ss/w=rd 1"}, "postgres://u:" + url.QueryEscape("p@ss/w=rd 1") + "@db", "postgres://u:***@db"},
		"of a path":           {"so do others", []string{"p@ss/w=rd 1"}, "postgres://u:" + url.PathEscape("p@ss/w=rd 1") + "@db", "postgres://u:***@db"},
		"of a user":           {"urlJoin writes it", []string{"p@ss:w&rd"}, url.UserPassword("u", "p@ss:w&rd").String() + "@db", "u:***@db"},
	}
	for name, tc := range tests {
		if got := New(tc.hidden...).Text(tc.in); got != tc.want {
			t.Errorf("%s: %q becomes %q; want %q (%s)", name, tc.in, got, tc.want, tc.why)
		}
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// TestInTheMiddleOfBase64: of a text that was encoded together with what is before and after
// it, no digit is told that has bits of it alone.
func TestInTheMiddleOfBase64(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"hunt", "hunte", "hunter", "hunter2", "hunter22"} {
		for before := range 7 {
			for after := range 4 {
				whole := encoded(strings.Repeat("u", before) + secret + strings.Repeat("v", after))
				got := New(secret).Text("Basic " + whole)
				if !strings.Contains(got, Mark) {
					t.Fatalf("%q with %d before and %d after it is told as %q", secret, before, after, got)
				}
				left := len(strings.ReplaceAll(strings.TrimPrefix(got, "Basic "), Mark, ""))
				if most := len(whole) - len(secret)*8/6 + 2; left > most {
					t.Errorf("%q with %d before and %d after it is told as %q: %d digits are left; want %d at most", secret, before, after, got, left, most)
				}
			}
		}
	}
}

// TestStrict: a short text is hidden where it is a word.
func TestStrict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, hidden, in, want string }{
		"a word":       {"it stands by itself", "ab", "got ab, 'ab' and (ab)", "got ***, '***' and (***)"},
		"in a word":    {"it is there by chance", "ab", "unable, about", "unable, about"},
		"an expr":      {"it is no expression", "a.c", "a.c abc", "*** abc"},
		"a group":      {"nor is it replaced by one", "x$1", "got x$1", "got ***"},
		"no text":      {"bytes cannot stand in one", "\xff\xfe", "some text", "some text"},
		"a longer one": {"it is hidden in words, too", "hunter", "bountyhunters", "bounty***s"},
	}
	for name, tc := range tests {
		if got := NewStrict(tc.hidden).Text(tc.in); got != tc.want {
			t.Errorf("%s: %q becomes %q; want %q (%s)", name, tc.in, got, tc.want, tc.why)
		}
	}
}

// TestError: an error without its secrets is still that error.
func TestError(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	with := fmt.Errorf("with hunter22: %w", cause)
	if err := New("hunter22").Error(with); !errors.Is(err, cause) || err.Error() != "with ***: cause" {
		t.Errorf("got %v; want %v without its secret", err, with)
	}
	if err := New("another").Error(with); err != with { //nolint:errorlint // it is to be the very same
		t.Errorf("got %v; want what has no secrets to stay", err)
	}
	if err := New("hunter22").Error(nil); err != nil {
		t.Errorf("got %v; want nil", err)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	obj := &unstructured.Unstructured{Object: map[string]any{
		"data":       map[string]any{"a": encoded("topsecret")},
		"stringData": map[string]any{"b": "yet-secret", "n": int64(12345), "list": []any{"hunter22"}, "none": nil},
	}}
	in := "topsecret " + encoded("topsecret") + " yet-secret " + encoded("yet-secret") + " 12345 hunter22"
	if got, want := New(Secret(obj)...).Text(in), "*** *** *** *** *** ***"; got != want {
		t.Errorf("%q becomes %q; want %q", in, got, want)
	}
}
