package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	userAgent    = "weir"
	maxRedirects = 5
	maxHeader    = 1 << 20
	keepIdle     = 90 * time.Second
	maxError     = 300 // bytes of an error that others worded
)

// newTransport makes what carries requests. How long one may take is for its context to
// say.
func newTransport(access Access) *http.Transport {
	config := access.TLS.Config()
	config.InsecureSkipVerify = access.Unverified
	return &http.Transport{
		Proxy:                  access.Proxy.HTTP,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    30 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        keepIdle,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// checkRedirect lets a redirect pass unless it leaves encryption. The credentials stay
// with the host they are for, because they are set for it alone, below the client that
// follows redirects.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrRegistry, maxRedirects)
	}
	// The scheme of a request to the registry itself is chosen below too.
	if last := via[len(via)-1]; last.URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirected from https to %s", ErrUntrusted, req.URL.Scheme)
	}
	return nil
}

// refusal turns the status of an answer, and the code that registries give with it, into
// an error. The rest of the answer is not repeated: it is for people, differs from time
// to time, and may be anything.
func refusal(status int, code string, anonymous bool) error {
	what := fmt.Sprintf("status %d %s", status, http.StatusText(status))
	if code = strings.ToUpper(code); code != "" && len(code) < 40 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		what += ", " + code
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if anonymous {
			return fmt.Errorf("%w: no credentials are given (%s)", ErrUnauthorized, what)
		}
		return fmt.Errorf("%w with the credentials given (%s)", ErrUnauthorized, what)
	case http.StatusNotFound:
		return fmt.Errorf("%w (%s)", ErrNotFound, what)
	default:
		return fmt.Errorf("%w: %s", ErrRegistry, what)
	}
}

// explain turns an error of a request, or of the login that preceded it, into one that
// is the same each time, and has no URL: that of a redirect may have a signature in it.
func explain(ctx context.Context, err error, anonymous bool) error {
	if err == nil || ownError(err) {
		return err
	}
	// Where both https and plain HTTP were tried, distrust is what matters.
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &invalid) || errors.As(err, &unknown) {
		return fmt.Errorf("%w: %w", ErrUntrusted, innermost(err))
	}
	var refused *transport.Error
	if errors.As(err, &refused) {
		code := ""
		if len(refused.Errors) > 0 {
			code = string(refused.Errors[0].Code)
		}
		return refusal(refused.StatusCode, code, anonymous)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: no answer in time: %w", ErrRegistry, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", ErrRegistry, innermost(err))
}

// innermost takes from an error of the network the URL and the addresses, of which the
// own port is another each time, and cuts what is too long to be read.
func innermost(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	if text := err.Error(); len(text) > maxError {
		return errors.New(text[:maxError] + "…")
	}
	return err
}

func ownError(err error) bool {
	for _, own := range []error{ErrInvalidReference, ErrUnauthorized, ErrUntrusted, ErrNotFound, ErrTooLarge, ErrCorrupt, ErrRegistry} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}
