package oci_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

const (
	user     = "robot"
	password = "hunter2-password"
)

func login(password string) oci.Access {
	return oci.Access{Login: oci.NewLogin(authn.AuthConfig{Username: user, Password: password})}
}

// open returns the session with a repository of a registry.
func open(t *testing.T, c *oci.Client, r *ocitest.Registry, repo string, access oci.Access) *oci.Session {
	t.Helper()
	parsed, err := oci.ParseURL(r.URL(repo))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Session(parsed, access)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestResolveAgainCostsOneHead, whatever the login was.
func TestResolveAgainCostsOneHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts   ocitest.Options
		access oci.Access
		first  ocitest.Counts
	}{
		"anonymous":           {first: ocitest.Counts{Pings: 1, Heads: 1}},
		"basic":               {opts: ocitest.Options{Username: user, Password: password}, access: login(password), first: ocitest.Counts{Pings: 1, Heads: 1}},
		"token":               {opts: ocitest.Options{Username: user, Password: password, Bearer: true}, access: login(password), first: ocitest.Counts{Pings: 1, Tokens: 1, Heads: 1}},
		"token for everybody": {opts: ocitest.Options{Bearer: true}, first: ocitest.Counts{Pings: 1, Tokens: 1, Heads: 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ocitest.Start(t, tc.opts)
			want := r.Push("app", "latest", ocitest.Files(map[string]string{"a": "b"}))
			c := oci.NewClient(oci.Limits{})
			resolve := func() {
				got, err := open(t, c, r, "app", tc.access).Resolve(t.Context(), "latest")
				if err != nil || got.Digest != want {
					t.Fatalf("Resolve = %s, %v; want %s", got.Digest, err, want)
				}
			}
			resolve()
			if diff := cmp.Diff(tc.first, r.Counts()); diff != "" {
				t.Errorf("the first cost (-want +got):\n%s", diff)
			}
			for range 3 {
				before := r.Counts()
				resolve()
				if diff := cmp.Diff(ocitest.Counts{Heads: 1}, r.Counts().Minus(before)); diff != "" {
					t.Errorf("another cost (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestExpiredTokenIsReplaced(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true})
	r.Push("app", "latest", ocitest.Files(nil))
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", login(password))
	if _, err := s.Resolve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	r.ExpireTokens()
	before := r.Counts()
	if _, err := s.Resolve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ocitest.Counts{Heads: 2, Tokens: 1}, r.Counts().Minus(before)); diff != "" {
		t.Errorf("a new token cost (-want +got):\n%s", diff)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, bearer := range []bool{false, true} {
		r := ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: bearer})
		want := r.Push("app", "latest", ocitest.Files(nil))
		c := oci.NewClient(oci.Limits{})
		resolve := func(access oci.Access) error {
			got, err := open(t, c, r, "app", access).Resolve(t.Context(), "latest")
			if err == nil && got.Digest != want {
				t.Errorf("Resolve = %s; want %s", got.Digest, want)
			}
			return err
		}
		for what, access := range map[string]oci.Access{"none": {}, "wrong": login("wrong-secret")} {
			err := resolve(access)
			if !errors.Is(err, oci.ErrUnauthorized) || strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("bearer %t, credentials %s: %v; want ErrUnauthorized without the password", bearer, what, err)
			}
		}
		if err := resolve(login(password)); err != nil {
			t.Errorf("bearer %t: %v", bearer, err)
		}
		// Others than before are asked for: first the old do not do, then the new do.
		r.SetLogin(user, "another")
		if err := resolve(login(password)); !errors.Is(err, oci.ErrUnauthorized) {
			t.Errorf("bearer %t, after a change: %v; want ErrUnauthorized", bearer, err)
		}
		if err := resolve(login("another")); err != nil {
			t.Errorf("bearer %t, the new: %v", bearer, err)
		}
		r.SetLogin(user, password)
		if err := resolve(login(password)); err != nil {
			t.Errorf("bearer %t, the old again: %v", bearer, err)
		}
	}
}

// TestCredentialsStayWithTheirHost: storage of layers is often elsewhere, and must not
// see who asks.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	for _, bearer := range []bool{false, true} {
		r := ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: bearer})
		digest := r.Push("app", "latest", ocitest.Files(map[string]string{"a": "b"}))
		elsewhere := ocitest.Start(t, ocitest.Options{})
		elsewhere.Push("app", "latest", ocitest.Files(map[string]string{"a": "b"}))
		var seen atomic.Int64
		elsewhere.Break(func(_ http.ResponseWriter, req *http.Request) bool {
			if req.Header.Get("Authorization") != "" {
				seen.Add(1)
			}
			return false
		})
		for _, kind := range []ocitest.Kind{ocitest.Blob, ocitest.Manifest, ocitest.Head} {
			r.Break(ocitest.Only(kind, ocitest.Redirect("http://"+elsewhere.Host())))
			s := open(t, oci.NewClient(oci.Limits{}), r, "app", login(password))
			if _, err := s.Resolve(t.Context(), "latest"); err != nil {
				t.Error(err)
			}
			pull(t, s, digest)
		}
		if n := seen.Load(); n > 0 {
			t.Errorf("bearer %t: the other host saw credentials %d times", bearer, n)
		}
		if n := elsewhere.Counts().Sum(); n != 3 {
			t.Errorf("bearer %t: the other host was asked %d times; want 3: the redirects were followed", bearer, n)
		}
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	t.Parallel()
	secure := ocitest.Start(t, ocitest.Options{TLS: true})
	digest := secure.Push("app", "latest", ocitest.Files(nil))
	plain := ocitest.Start(t, ocitest.Options{})
	plain.Push("app", "latest", ocitest.Files(nil))
	tlsCreds, err := creds.NewTLS(map[string][]byte{"ca.crt": secure.CA}, "ns/ca")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, oci.NewClient(oci.Limits{}), secure, "app", oci.Access{TLS: tlsCreds})
	if _, err := s.Manifest(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	secure.Break(ocitest.Redirect("http://" + plain.Host()))
	if _, err := s.Manifest(t.Context(), digest); !errors.Is(err, oci.ErrUntrusted) {
		t.Errorf("from https to http: %v; want ErrUntrusted", err)
	}
	if n := plain.Counts().Sum(); n != 0 {
		t.Errorf("the plain host was asked %d times; want never", n)
	}
	secure.Break(ocitest.Redirect("https://" + secure.Host()))
	if _, err := s.Manifest(t.Context(), digest); !errors.Is(err, oci.ErrRegistry) {
		t.Errorf("in circles: %v; want ErrRegistry", err)
	}
}

// TestErrorsAreStable: a condition that is another each time would be written, and told,
// each time.
func TestErrorsAreStable(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	r.Push("app", "latest", ocitest.Files(nil))
	n := 0
	tests := map[string]struct {
		fault ocitest.Fault
		err   error
	}{
		"status":       {fault: ocitest.Status(http.StatusServiceUnavailable), err: oci.ErrRegistry},
		"too many":     {fault: ocitest.Status(http.StatusTooManyRequests), err: oci.ErrRegistry},
		"no such":      {fault: ocitest.Status(http.StatusNotFound), err: oci.ErrNotFound},
		"forbidden":    {fault: ocitest.Status(http.StatusForbidden), err: oci.ErrUnauthorized},
		"disconnected": {fault: disconnect, err: oci.ErrRegistry},
		"said otherwise": {fault: func(w http.ResponseWriter, _ *http.Request) bool {
			n++
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"errors":[{"code":"UNSUPPORTED","message":"request ` + strings.Repeat("x", n) + ` is hunter2"}]}`))
			return true
		}, err: oci.ErrRegistry},
	}
	for name, tc := range tests {
		var texts []string
		for range 2 {
			// A session of its own meets the fault while it logs in, too.
			for _, s := range []*oci.Session{open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{}), connected(t, r)} {
				r.Break(tc.fault)
				_, err := s.Resolve(t.Context(), "latest")
				r.Break(nil)
				if !errors.Is(err, tc.err) {
					t.Fatalf("%s: %v; want %v", name, err, tc.err)
				}
				texts = append(texts, err.Error())
			}
		}
		if texts[0] != texts[2] || texts[1] != texts[3] {
			t.Errorf("%s: the error is not the same each time: %q", name, texts)
		}
		if all := strings.Join(texts, " "); strings.Contains(all, "hunter2") || strings.Contains(all, r.Host()) {
			t.Errorf("%s: the error says what is not its own: %q", name, texts)
		}
	}
}

// connected is a session that has logged in.
func connected(t *testing.T, r *ocitest.Registry) *oci.Session {
	t.Helper()
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{})
	if _, err := s.Resolve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	return s
}

func disconnect(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

func TestTimeout(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	r.Push("app", "latest", ocitest.Files(nil))
	s := connected(t, r)
	r.Break(ocitest.Hang())
	cause := errors.New("spec.timeout of 1s is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	if _, err := s.Resolve(ctx, "latest"); !errors.Is(err, cause) {
		t.Errorf("Resolve = %v; want it to say %q", err, cause)
	}
}

// TestLoginsWaitAsLongAsTheyMay: one that hangs holds up nobody for longer than they
// have.
func TestLoginsWaitAsLongAsTheyMay(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	r.Push("app", "latest", ocitest.Files(nil))
	r.Break(ocitest.Hang())
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{})
	first, end := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := s.Resolve(first, "latest")
		failed <- err
	}()
	for r.Counts().Pings == 0 && t.Context().Err() == nil {
		runtime.Gosched() // the first is on its way
	}
	cause := errors.New("time is over")
	second, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	if _, err := s.Resolve(second, "latest"); !errors.Is(err, cause) {
		t.Errorf("Resolve = %v; want it to say %q", err, cause)
	}
	r.Break(nil)
	end()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the first = %v; want that it was canceled", err)
	}
	if _, err := s.Resolve(t.Context(), "latest"); err != nil {
		t.Errorf("the next = %v", err)
	}
}

func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	access := login(password)
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", access)
	for name, text := range printed(access, &access, struct{ a oci.Access }{access}, struct{ l oci.Login }{access.Login}, s, struct{ s *oci.Session }{s}) {
		if strings.Contains(text, password) {
			t.Errorf("%s tells the password: %s", name, text)
		}
	}
}
