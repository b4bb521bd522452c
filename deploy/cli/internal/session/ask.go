package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"weir.dev/pkg/creds"
)

// maxAnswer bounds what is read of somebody who is asked, in bytes.
const maxAnswer = 64 << 10

var (
	// ErrDeclined: somebody was asked whether something is meant, and it is not.
	ErrDeclined = errors.New("not confirmed: nothing was changed")
	// ErrNoAnswer: nobody was there to be asked.
	ErrNoAnswer = errors.New("nobody answered")
)

// Confirm asks whether something is meant; the error is ErrDeclined if it is not. unasked
// says what to do where nobody can be asked. Give it a context without the timeout of the
// call: who is asked may think.
func (s *Session) Confirm(ctx context.Context, question, unasked string) error {
	fmt.Fprintf(s.Err, "? %s [y/N] ", question)
	answer, err := s.await(ctx, s.readLine)
	if err != nil {
		fmt.Fprintln(s.Err)
		if errors.Is(err, ErrNoAnswer) {
			return Hint(err, "%s", unasked)
		}
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return ErrDeclined
}

// Secret returns a secret as Given does, or asks for it. One that is piped in does as well.
func (s *Session) Secret(ctx context.Context, flag, variable, what string) (creds.Hidden, error) {
	given, err := s.Given(ctx, flag, variable, what)
	if err != nil || !given.Empty() {
		return given, err
	}
	asked, err := s.ask(ctx, what)
	if errors.Is(err, ErrNoAnswer) {
		return creds.Hidden{}, Hint(fmt.Errorf("there is no %s", what), "export %s=<%s>", variable, what)
	}
	return asked, err
}

// Given returns the secret that a flag has, or else a variable of the environment: empty if
// neither does. A flag that is "-" means the next line of what is piped in, or who is asked:
// others of the machine can see what the flags of a command are.
func (s *Session) Given(ctx context.Context, flag, variable, what string) (creds.Hidden, error) {
	switch {
	case flag == "-":
		return s.ask(ctx, what)
	case flag != "":
		return creds.Hide(flag), nil
	default:
		return creds.Hide(strings.TrimSpace(s.Getenv(variable))), nil
	}
}

// ask asks for a secret, which a screen does not show.
func (s *Session) ask(ctx context.Context, what string) (creds.Hidden, error) {
	read := s.readLine
	if fd, ok := s.keyboard(); ok {
		if s.Silent {
			return creds.Hidden{}, fmt.Errorf("reading the %s: %w", what, ErrNoAnswer)
		}
		fmt.Fprintf(s.Err, "%s: ", what)
		before, err := term.GetState(fd)
		if err != nil {
			return creds.Hidden{}, fmt.Errorf("reading the %s: %w", what, err)
		}
		defer func() {
			fmt.Fprintln(s.Err)
			_ = term.Restore(fd, before) // who does not wait for the answer leaves the screen dark
		}()
		read = func() (string, error) {
			answer, err := term.ReadPassword(fd)
			return string(answer), err
		}
	}
	answer, err := s.await(ctx, read)
	if err != nil {
		return creds.Hidden{}, fmt.Errorf("reading the %s: %w", what, err)
	}
	if answer = strings.TrimSpace(answer); answer == "" {
		return creds.Hidden{}, fmt.Errorf("reading the %s: %w", what, ErrNoAnswer)
	}
	return creds.Hide(answer), nil
}

// await waits for an answer as long as ctx lasts. Nothing can end the reading itself, which
// goes on until there is something to read, or the process ends.
func (s *Session) await(ctx context.Context, read func() (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		if errors.Is(a.err, io.EOF) {
			a.err = ErrNoAnswer
		}
		return a.text, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads the next line of what is typed or piped in.
func (s *Session) readLine() (string, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.In == nil {
		return "", io.EOF
	}
	if s.lines == nil { // of one reader, as it reads ahead
		s.lines = bufio.NewReaderSize(s.In, maxAnswer)
	}
	line, err := s.lines.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return string(line), nil
	}
	return string(line), err
}

// Attended reports whether somebody sits at a keyboard, to be asked.
func (s *Session) Attended() bool {
	_, ok := s.keyboard()
	return ok
}

// keyboard returns the terminal at which somebody can be asked.
func (s *Session) keyboard() (fd int, ok bool) {
	f, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}
