package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/clientcmd"
)

// Exit is an error with a code of its own; all others end with 1.
type Exit struct {
	Code int
	Err  error // nil: there is nothing to say
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns what the error is about.
func (e *Exit) Unwrap() error { return e.Err }

// hint is an error and what to do about it.
type hint struct {
	error
	next string
}

func (h *hint) Unwrap() error { return h.error }

// Hint adds what to do next to err: a command, or words. The hint nearest to the cause is
// the one that is shown.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if h := (*hint)(nil); errors.As(err, &h) {
		return err
	}
	return &hint{error: err, next: fmt.Sprintf(format, args...)}
}

// timeout is why a call ends that has waited too long.
type timeout struct{ after time.Duration }

func (t *timeout) Error() string { return fmt.Sprintf("timed out after %s", t.after) }

// Is makes it the error that deadlines are known by.
func (t *timeout) Is(target error) bool { return target == context.DeadlineExceeded }

// End tells how the call ended and returns its exit code.
func (s *Session) End(err error) int {
	if err == nil {
		return 0
	}
	code := 1
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		code = exit.Code
		if exit.Err == nil {
			return code
		}
	}
	err = Explain(err)
	s.Fail("%v", err)
	if h := (*hint)(nil); errors.As(err, &h) {
		fmt.Fprintf(s.Err, "  %s\n", h.next)
	}
	return code
}

// Explain says what to do about errors of the connection. Others, and those that have a
// hint already, are returned as they are.
func Explain(err error) error {
	if h := (*hint)(nil); errors.As(err, &h) {
		return err // whoever gave it knows what the error is about
	}
	var (
		unknownAuthority x509.UnknownAuthorityError
		dns              *net.DNSError
		noKind           *meta.NoKindMatchError
	)
	switch {
	case clientcmd.IsEmptyConfig(err):
		return Hint(because("no cluster is configured", err), "name one by --kubeconfig or KUBECONFIG, or start one on this machine: weir up")
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Hint(because("the API server cannot be reached", err), "is the cluster running, and is it the one that you mean? See --context and --kubeconfig; a new one on this machine: weir up")
	case errors.As(err, &unknownAuthority):
		return Hint(because("the API server is not the one that the kubeconfig expects", err), "take a new kubeconfig from the cluster, or name its authority by --certificate-authority")
	case apierrors.IsUnauthorized(err):
		return Hint(because("the API server does not accept these credentials", err), "log in to the cluster again, or name another user by --context or --user")
	case apierrors.IsForbidden(err):
		return Hint(err, "the ClusterRoles flux-view-%s and flux-edit-%s allow to see and to change what weir does: ask who administers the cluster for one of them", DefaultNamespace, DefaultNamespace)
	case errors.As(err, &noKind):
		return Hint(fmt.Errorf("the cluster does not have the kind %s (%s)", noKind.GroupKind.Kind, noKind.GroupKind.Group), "see what is installed, and what is not: weir check")
	}
	return err
}

// because puts what an error means before what it says.
func because(meaning string, err error) error { return fmt.Errorf("%s: %w", meaning, err) }
