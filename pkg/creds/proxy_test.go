package creds_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func proxyAt(t *testing.T, url, user, password string) creds.Proxy {
	t.Helper()
	p, err := creds.NewProxy(data("address", url, "username", user, "password", password), "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// target is a server that says hello first, as those of SSH do.
func target(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello\n") // who is gone hears nothing
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func hello(t *testing.T, p creds.Proxy, addr string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := p.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err == nil && string(said) != "hello\n" {
		t.Errorf("through %s, the server says %q", p, said)
	}
	return err
}

func TestProxyDials(t *testing.T) {
	t.Parallel()
	login := credstest.Login{Username: "user-value", Password: "pw:/@-value"}
	for scheme, start := range map[string]func(testing.TB, credstest.Login) *credstest.Proxy{"http": credstest.StartHTTP, "socks5": credstest.StartSOCKS5} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			addr := target(t)
			open, closed := start(t, credstest.Login{}), start(t, login)
			for name, p := range map[string]creds.Proxy{
				"no login":        proxyAt(t, open.URL, "", ""),
				"needless login":  proxyAt(t, open.URL, login.Username, login.Password),
				"login":           proxyAt(t, closed.URL, login.Username, login.Password),
				"login in a path": proxyAt(t, closed.URL+"/", login.Username, login.Password),
			} {
				if err := hello(t, p, addr); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if diff := cmp.Diff([]string{addr, addr}, closed.Targets()); diff != "" {
				t.Errorf("passed on (-want +got):\n%s", diff)
			}
			for name, p := range map[string]creds.Proxy{
				"wrong password": proxyAt(t, closed.URL, login.Username, "other-value"),
				"no login":       proxyAt(t, closed.URL, "", ""),
			} {
				err := hello(t, p, addr)
				if err == nil || !strings.Contains(err.Error(), closed.URL) || strings.Contains(err.Error(), "-value") {
					t.Errorf("%s: %v, want an error that names the proxy and no secret", name, err)
				}
			}
			if got := closed.Refused(); got != 2 {
				t.Errorf("%d refused, want 2", got)
			}
			if err := hello(t, proxyAt(t, open.URL, "", ""), "127.0.0.1:1"); err == nil {
				t.Error("nobody listens there, and there is no error")
			}
		})
	}
}

// TestProxyDialsByName: the proxy may know names that we do not.
func TestProxyDialsByName(t *testing.T) {
	t.Parallel()
	for _, p := range []*credstest.Proxy{credstest.StartHTTP(t, credstest.Login{}), credstest.StartSOCKS5(t, credstest.Login{})} {
		err := hello(t, proxyAt(t, p.URL, "", ""), "git.invalid:22")
		if err == nil {
			t.Error("there is no such host, and there is no error")
		}
		if diff := cmp.Diff([]string{"git.invalid:22"}, p.Targets()); diff != "" {
			t.Errorf("%s was asked for (-want +got):\n%s", p.URL, diff)
		}
	}
}

// TestProxyThatDoesNotAnswer does not keep anybody longer than the context.
func TestProxyThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and that is all
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	for _, scheme := range []string{"http", "https", "socks5"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		_, err := proxyAt(t, scheme+"://"+ln.Addr().String(), "", "").DialContext(ctx, "tcp", "127.0.0.1:22")
		if err == nil {
			t.Errorf("%s: no error", scheme)
		}
	}
}

func TestProxyThatAnswersWrongly(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"nothing": "", "garbage": "SSH-2.0-x\r\n\r\n", "endless": strings.Repeat("x", 100_000), "refusal": "HTTP/1.1 403 Forbidden\r\n\r\n",
		"half": "HTTP/1.1 200 O",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			go func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, says) // who has enough goes
				conn.Close()
			}()
			if err := hello(t, proxyAt(t, "http://"+ln.Addr().String(), "", ""), "127.0.0.1:22"); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestProxyOfRequests(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Proxy-Authorization"); got != "" {
			t.Errorf("the server sees the proxy's login %q", got)
		}
		_, _ = io.WriteString(w, "hello\n")
	}))
	t.Cleanup(server.Close)
	login := credstest.Login{Username: "user-value", Password: "pw-value"}
	for _, p := range []*credstest.Proxy{credstest.StartHTTP(t, login), credstest.StartSOCKS5(t, login)} {
		transport := &http.Transport{Proxy: proxyAt(t, p.URL, login.Username, login.Password).HTTP}
		t.Cleanup(transport.CloseIdleConnections)
		res, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Errorf("through %s: %v", p.URL, err)
			continue
		}
		res.Body.Close()
		if diff := cmp.Diff([]string{strings.TrimPrefix(server.URL, "http://")}, p.Targets()); diff != "" {
			t.Errorf("%s passed on (-want +got):\n%s", p.URL, diff)
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data map[string][]byte
		says string
	}{
		"no address":       {data: data("username", "user-value", "password", "pw-value"), says: `"address"`},
		"empty address":    {data: data("address", ""), says: `"address"`},
		"no scheme":        {data: data("address", "proxy.example.com:3128"), says: `"address"`},
		"other scheme":     {data: data("address", "ftp://proxy.example.com"), says: "http, https and socks5"},
		"no host":          {data: data("address", "http://"), says: "no URL"},
		"no URL":           {data: data("address", "http://me:pass-value/@proxy.example.com:x"), says: "no URL"},
		"password alone":   {data: data("address", "http://proxy.example.com", "password", "pw-value"), says: `"username"`},
		"odd control byte": {data: data("address", "http://proxy.example.com\n"), says: "no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := creds.NewProxy(tc.data, "ns/name")
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "secret 'ns/name'") {
				t.Errorf("%v, want it to say %q of the Secret", err, tc.says)
			}
			if err != nil && strings.Contains(err.Error(), "-value") {
				t.Errorf("%v tells a secret", err)
			}
			if !p.Empty() {
				t.Errorf("%v beside an error", p)
			}
		})
	}
}

func TestProxyString(t *testing.T) {
	t.Parallel()
	if got := proxyAt(t, "http://me:x-value@proxy.example.com:3128/?y=z", "", "").String(); got != "http://proxy.example.com:3128" {
		t.Errorf("String() = %q", got)
	}
	seen := make(map[string]bool)
	for _, p := range []creds.Proxy{
		{}, proxyAt(t, "http://a.example.com", "", ""), proxyAt(t, "http://b.example.com", "", ""), proxyAt(t, "socks5://a.example.com", "", ""),
		proxyAt(t, "http://a.example.com", "me", "x"), proxyAt(t, "http://a.example.com", "me", "y"),
	} {
		seen[p.Fingerprint()] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d different fingerprints, want 6", len(seen))
	}
	if !proxyAt(t, "http://a.example.com/", "me", "x").Equal(proxyAt(t, "http://me:x@a.example.com", "", "")) {
		t.Error("the same proxy by two ways to write it is not equal")
	}
}
