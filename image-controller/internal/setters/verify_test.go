package setters

import (
	"errors"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	const before = "a: &x 1.0\nb: [c, 'd', *x]\n---\n!t e\n"
	tests := map[string]struct {
		after string
		want  error
	}{
		"the wanted value":        {"a: &x '2.0'\nb: [c, 'd', *x]\n---\n!t e\n", nil},
		"other layout":            {"# comment\na:   &x '2.0'\n\nb: [c,\n 'd', *x] # comment\n---\n!t e\n", nil},
		"not the wanted value":    {"a: &x '2.1'\nb: [c, 'd', *x]\n---\n!t e\n", ErrUnsafe},
		"a number":                {"a: &x 2.0\nb: [c, 'd', *x]\n---\n!t e\n", ErrUnsafe},
		"another value":           {"a: &x '2.0'\nb: [z, 'd', *x]\n---\n!t e\n", ErrUnsafe},
		"another key":             {"z: &x '2.0'\nb: [c, 'd', *x]\n---\n!t e\n", ErrUnsafe},
		"other quotes":            {"a: &x '2.0'\nb: [c, \"d\", *x]\n---\n!t e\n", ErrUnsafe},
		"one value more":          {"a: &x '2.0'\nb: [c, 'd', *x, f]\n---\n!t e\n", ErrUnsafe},
		"an alias that is a text": {"a: &x '2.0'\nb: [c, 'd', x]\n---\n!t e\n", ErrUnsafe},
		"another anchor":          {"a: &y '2.0'\nb: [c, 'd', *y]\n---\n!t e\n", ErrUnsafe},
		"another tag":             {"a: &x '2.0'\nb: [c, 'd', *x]\n---\n!u e\n", ErrUnsafe},
		"one document more":       {"a: &x '2.0'\nb: [c, 'd', *x]\n---\n!t e\n---\n", ErrUnsafe},
		"one document less":       {"a: &x '2.0'\nb: [c, 'd', *x]\n", ErrUnsafe},
		"no YAML":                 {"a: &x '2.0\nb: [c, 'd', *x]\n---\n!t e\n", ErrUnsafe},
	}
	docs, err := parse([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[*yaml.Node]string{docs[0].Content[0].Content[1]: "2.0"}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := verify(docs, []byte(tc.after), wanted); !errors.Is(err, tc.want) || errors.Is(err, ErrYAML) {
				t.Errorf("verify = %v, want %v", err, tc.want)
			}
		})
	}
}
