package session

import (
	"fmt"
	"net/http"
	"time"
)

// Say tells what is being done.
func (s *Session) Say(format string, args ...any) { s.line("►", format, args...) }

// Done tells what has been done.
func (s *Session) Done(format string, args ...any) { s.line("✔", format, args...) }

// Waiting tells what is waited for.
func (s *Session) Waiting(format string, args ...any) { s.line("◎", format, args...) }

// Warn tells what should be looked at.
func (s *Session) Warn(format string, args ...any) { s.line("⚠", format, args...) }

// Fail tells what is wrong. A verb that ends by an error returns it instead.
func (s *Session) Fail(format string, args ...any) { s.line("✗", format, args...) }

func (s *Session) line(prefix, format string, args ...any) {
	fmt.Fprintf(s.Err, prefix+" "+format+"\n", args...)
}

// tellRequests tells each request, without what it carries.
func (s *Session) tellRequests(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := next.RoundTrip(req)
		took := time.Since(start).Round(time.Millisecond)
		if err != nil {
			fmt.Fprintf(s.Err, "  %s %s: no answer after %s\n", req.Method, req.URL.RequestURI(), took)
		} else {
			fmt.Fprintf(s.Err, "  %s %s: %d after %s\n", req.Method, req.URL.RequestURI(), resp.StatusCode, took)
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
