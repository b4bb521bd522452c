package verb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/creds"
)

// maxAnswer bounds what is read of somebody who is asked, in bytes.
const maxAnswer = 64 << 10

// secretFrom returns a secret: that of a flag, of the environment, or of who is asked, who
// does not see it. One that is piped in does as well.
func secretFrom(s *session.Session, flag, variable, what string) (creds.Hidden, error) {
	if flag != "" {
		return creds.Hide(flag), nil
	}
	if value := s.Getenv(variable); value != "" {
		return creds.Hide(strings.TrimSpace(value)), nil
	}
	var answer []byte
	var err error
	if fd, ok := keyboard(s); ok {
		fmt.Fprintf(s.Err, "%s: ", what)
		answer, err = term.ReadPassword(fd)
		fmt.Fprintln(s.Err)
	} else if s.In != nil {
		answer, err = bufio.NewReader(io.LimitReader(s.In, maxAnswer)).ReadBytes('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return creds.Hidden{}, fmt.Errorf("reading the %s: %w", what, err)
	}
	text := strings.TrimSpace(string(answer))
	if text == "" {
		return creds.Hidden{}, session.Hint(fmt.Errorf("there is no %s", what), "export %s=<%s>", variable, what)
	}
	return creds.Hide(text), nil
}

// keyboard returns the terminal at which somebody can be asked.
func keyboard(s *session.Session) (int, bool) {
	f, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// confirm asks a question that is answered by yes or no.
func (b *bootstrapper) confirm(question string) (bool, error) {
	fmt.Fprintf(b.Err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(io.LimitReader(b.In, maxAnswer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
