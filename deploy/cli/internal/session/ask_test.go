package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/session"
)

// typing returns a session in which something is typed or piped in, and what it says.
func typing(in io.Reader, env map[string]string) (*session.Session, *strings.Builder) {
	var said strings.Builder
	return session.New(session.Streams{In: in, Out: &said, Err: &said}, func(key string) string { return env[key] }), &said
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		typed string
		err   error
	}{
		"yes":             {why: "it is meant", typed: "yes\n"},
		"y":               {why: "so it is", typed: " Y \n"},
		"without the end": {why: "printf has none", typed: "y"},
		"no":              {why: "it is not", typed: "n\n", err: session.ErrDeclined},
		"a mere Enter":    {why: "no is the default", typed: "\n", err: session.ErrDeclined},
		"something else":  {why: "it is no yes", typed: "yesterday\n", err: session.ErrDeclined},
		"nothing":         {why: "nobody is there", err: session.ErrNoAnswer},
	}
	for name, tc := range tests {
		s, said := typing(strings.NewReader(tc.typed), nil)
		err := s.Confirm(t.Context(), "Go on?", "say so: --silent")
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v (%s)", name, err, tc.err, tc.why)
		}
		s.End(err)
		if told := strings.Contains(said.String(), "say so: --silent"); told != errors.Is(tc.err, session.ErrNoAnswer) {
			t.Errorf("%s: it is told how to do without an answer: %t\n%s", name, told, said)
		}
		if !strings.HasPrefix(said.String(), "? Go on? [y/N] ") {
			t.Errorf("%s: it asks %q", name, said)
		}
	}
	s, _ := typing(nil, nil)
	if err := s.Confirm(t.Context(), "Go on?", "say so"); !errors.Is(err, session.ErrNoAnswer) {
		t.Errorf("without an input: %v, want ErrNoAnswer", err)
	}
	s, _ = typing(&endless{}, nil)
	if err := s.Confirm(t.Context(), "Go on?", "say so"); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("of an answer without end: %v", err)
	}
}

// endless is somebody who leans on a key.
type endless struct{}

func (*endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'y'
	}
	return len(p), nil
}

// TestQuestionsEndWithTheCall: who is asked and presses Ctrl-C in place of an answer does
// not have to press Enter as well.
func TestQuestionsEndWithTheCall(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(context.Context, *session.Session) error{
		"confirm": func(ctx context.Context, s *session.Session) error { return s.Confirm(ctx, "Go on?", "say so") },
		"secret": func(ctx context.Context, s *session.Session) error {
			_, err := s.Secret(ctx, "", "TOKEN", "token")
			return err
		},
	} {
		in, typist := io.Pipe() // of who types nothing
		t.Cleanup(func() { typist.Close() })
		s, _ := typing(in, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("interrupt")
		ended := make(chan error, 1)
		go func() { ended <- ask(ctx, s) }()
		cancel(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("%s: %v, want the cause", name, err)
		}
		if err := ask(ctx, s); !errors.Is(err, gone) {
			t.Errorf("%s: asked once more: %v, want the cause", name, err)
		}
	}
}

// TestAnswersFollowEachOther: what is piped in is not swallowed by the first who reads.
func TestAnswersFollowEachOther(t *testing.T) {
	t.Parallel()
	s, said := typing(strings.NewReader("p4ss\nph4se\ny\n"), map[string]string{"VARIABLE": "other"})
	var got []string
	for _, what := range []string{"password", "passphrase"} {
		secret, err := s.Given(t.Context(), "-", "VARIABLE", what)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, secret.Reveal())
	}
	if diff := cmp.Diff([]string{"p4ss", "ph4se"}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if err := s.Confirm(t.Context(), "Go on?", ""); err != nil {
		t.Errorf("the answer after them: %v", err)
	}
	if strings.Contains(said.String(), "p4ss") {
		t.Errorf("a secret is told: %s", said)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why         string
		flag, typed string
		env         map[string]string
		given       string // without asking
		secret      string // at all costs
		err         error
	}{
		"by flag":     {why: "it is nearest", flag: "f", env: map[string]string{"TOKEN": "v"}, typed: "t\n", given: "f", secret: "f"},
		"by variable": {why: "nobody sees it", env: map[string]string{"TOKEN": "v\n"}, typed: "t\n", given: "v", secret: "v"},
		"asked for":   {why: "there is no other", typed: "t\n", secret: "t"},
		"nowhere":     {why: "nobody knows it", err: session.ErrNoAnswer},
		"piped in":    {why: "the flag says so", flag: "-", env: map[string]string{"TOKEN": "v"}, typed: "t\n", given: "t", secret: "t"},
	}
	for name, tc := range tests {
		s, _ := typing(strings.NewReader(tc.typed), tc.env)
		if got, err := s.Given(t.Context(), tc.flag, "TOKEN", "token"); err != nil || got.Reveal() != tc.given {
			t.Errorf("%s: given %q, %v; want %q (%s)", name, got.Reveal(), err, tc.given, tc.why)
		}
		s, said := typing(strings.NewReader(tc.typed), tc.env)
		got, err := s.Secret(t.Context(), tc.flag, "TOKEN", "token")
		if got.Reveal() != tc.secret || (err != nil) != (tc.err != nil) {
			t.Errorf("%s: %q, %v; want %q (%s)", name, got.Reveal(), err, tc.secret, tc.why)
		}
		if s.End(err); err != nil && !strings.Contains(said.String(), "export TOKEN=<token>") {
			t.Errorf("%s: it is not told what to do:\n%s", name, said)
		}
		if text := fmt.Sprint(got); tc.secret != "" && strings.Contains(text, tc.secret) {
			t.Errorf("%s: the secret is printed: %s", name, text)
		}
	}
}
