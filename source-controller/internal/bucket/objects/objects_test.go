package objects

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		in      string
		secrets []string
		want    string
	}{
		"plain":         {in: "no such host", want: "no such host"},
		"signed URL":    {in: `Get "https://h/b/k?X-Amz-Signature=ab&X-Amz-Date=2": EOF`, want: `Get "https://h/b/k": EOF`},
		"path alone":    {in: "GET /b?sig=ab%2B HTTP/1.1", want: "GET /b HTTP/1.1"},
		"userinfo":      {in: "dial https://me:pw@h/x", want: "dial https://h/x"},
		"question":      {in: "what is at the endpoint?", want: "what is at the endpoint?"},
		"secret":        {in: "key abcd+ is wrong, abcd%2B too", secrets: []string{"abcd+"}, want: "key *** is wrong, *** too"},
		"short secret":  {why: "it would eat the text", in: "a bad day", secrets: []string{"a", ""}, want: "a bad day"},
		"lines":         {why: "a condition has one", in: "a\r\n\tb\x00c", want: "a b c"},
		"secret in URL": {in: `Post "http://h/?LDAPPassword=secret-value": EOF`, secrets: []string{"secret-value"}, want: `Post "http://h/": EOF`},
		"not UTF-8":     {in: "a\xffb", want: "a�b"},
	}
	for name, tc := range tests {
		cause := errors.New(tc.in)
		err := Clean(fmt.Errorf("%w", cause), tc.secrets...)
		if err.Error() != tc.want {
			t.Errorf("%s: %q; want %q (%s)", name, err, tc.want, tc.why)
		}
		if !errors.Is(err, cause) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	if Clean(nil) != nil {
		t.Error("no error became one")
	}
	if n := len([]rune(Clean(errors.New(strings.Repeat("ü", 5000))).Error())); n != maxText+1 {
		t.Errorf("a long text has %d characters; want %d and a mark", n, maxText)
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for limit, fine := range map[int64]bool{0: false, 6: false, 7: true, 8: true} {
		var out strings.Builder
		n, err := Copy(&out, strings.NewReader("content"), limit)
		if (err == nil) != fine || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("limit %d: %v; want it to be fine: %t", limit, err, fine)
		}
		if int64(out.Len()) != n || n > limit {
			t.Errorf("limit %d: %d bytes came, %d are told", limit, out.Len(), n)
		}
	}
	cause := errors.New("cut")
	if _, err := Copy(io.Discard, io.MultiReader(strings.NewReader("a"), failing{cause}), 1); err == nil {
		t.Error("what fails at the limit counts as whole")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
