package git_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// front serves the repositories of s by TLS, in a way of its own.
func front(t *testing.T, s *gitservertest.Server, config *tls.Config) string {
	t.Helper()
	handler, err := gitserver.NewHandler(s.Dir, gitserver.Options{Backend: gitserver.GoGit})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	config.MinVersion = tls.VersionTLS12
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + "/fleet"
}

// tlsOf returns settings that trust an authority and show a pair, if there is one.
func tlsOf(t *testing.T, a *credstest.Authority, pair *credstest.Pair) creds.TLS {
	t.Helper()
	data := map[string][]byte{"ca.crt": a.CA}
	if pair != nil {
		data["tls.crt"], data["tls.key"] = pair.Cert, pair.Key
	}
	settings, err := creds.NewTLS(data, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	ours, theirs := credstest.NewAuthority(t), credstest.NewAuthority(t)
	ahead, past := time.Now().AddDate(1, 0, 0), time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	robot, expired, stranger := ours.Issue("robot", ahead), ours.Issue("robot", past), theirs.Issue("robot", ahead)
	tests := map[string]struct {
		shown *credstest.Pair
		says  string // of ErrUnauthorized; "" means that it works
	}{
		"ours":      {shown: &robot},
		"none":      {says: "it wants a client certificate, and none is given"},
		"expired":   {shown: &expired, says: "the client certificate has expired, at " + past.Format(time.RFC3339)},
		"another's": {shown: &stranger, says: "it refuses the client certificate"},
	}
	for version, number := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		url := front(t, s, &tls.Config{
			Certificates: []tls.Certificate{ours.Issue("server", ahead).TLS(t)}, MaxVersion: number,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool(),
		})
		for name, tc := range tests {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				snapshot, err := follow(t, remoteAt(t, url, creds.Git{TLS: tlsOf(t, ours, tc.shown)})).try(branch("main"))
				if tc.says != "" {
					silent(t, err, git.ErrUnauthorized, tc.says)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(app, content(t, snapshot)); diff != "" {
					t.Errorf("content (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestClientCertificateIsNotShared: who shows a certificate is alone with its
// connection, though others ask the same server by the same client.
func TestClientCertificateIsNotShared(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	a := credstest.NewAuthority(t)
	ahead := time.Now().AddDate(1, 0, 0)
	url := front(t, s, &tls.Config{
		Certificates: []tls.Certificate{a.Issue("server", ahead).TLS(t)},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(),
	})
	robot := a.Issue("robot", ahead)
	client := git.NewClient(git.Limits{})
	for i, pair := range []*credstest.Pair{&robot, nil, &robot} {
		conn, err := client.Dial(soon(t), remoteAt(t, url, creds.Git{TLS: tlsOf(t, a, pair)}))
		if want := pair != nil; (err == nil) != want {
			t.Errorf("dial %d: %v, want success %v", i, err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// TestExpiredCertificate: the message names the end, and is the same each time.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	a := credstest.NewAuthority(t)
	past := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	url := front(t, s, &tls.Config{Certificates: []tls.Certificate{a.Issue("server", past).TLS(t)}})
	f := follow(t, remoteAt(t, url, creds.Git{TLS: tlsOf(t, a, nil)}))
	_, err := f.dial()
	silent(t, err, git.ErrUntrusted, "its certificate is valid from", "to "+past.Format(time.RFC3339)+" only")
	if err != nil && strings.Contains(err.Error(), "current time") {
		t.Errorf("%q is another at another time", err)
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	login := credstest.Login{Username: "user-value", Password: "pw-value"}
	starts := map[string]func(testing.TB, credstest.Login) *credstest.Proxy{"http": credstest.StartHTTP, "socks5": credstest.StartSOCKS5}
	for scheme, start := range starts {
		plain := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
		secure := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.StartTLS)
		remotes := map[string]struct {
			url   string
			creds creds.Git
		}{
			"http":  {url: plain.URL("fleet")},
			"https": {url: secure.URL("fleet"), creds: creds.Git{TLS: creds.TLS{CA: secure.CA}}},
			"ssh":   {url: plain.SSHURL("fleet"), creds: identity(plain)},
		}
		for name, r := range remotes {
			t.Run(name+" through "+scheme, func(t *testing.T) {
				t.Parallel()
				p := start(t, login)
				through := func(password string) *git.Remote {
					c := r.creds
					var err error
					c.Proxy, err = creds.NewProxy(map[string][]byte{"address": []byte(p.URL), "username": []byte(login.Username), "password": []byte(password)}, "ns/name")
					if err != nil {
						t.Fatal(err)
					}
					return remoteAt(t, r.url, c)
				}
				if diff := cmp.Diff(app, content(t, follow(t, through(login.Password)).fetch(branch("main")))); diff != "" {
					t.Errorf("content (-want +got):\n%s", diff)
				}
				passed := len(p.Targets())
				if passed == 0 {
					t.Error("it came past the proxy")
				}
				for _, target := range p.Targets() {
					if !strings.Contains(r.url, target) {
						t.Errorf("the proxy was asked for %q, want that of %s", target, r.url)
					}
				}
				_, err := follow(t, through("no-value")).dial()
				silent(t, err, git.ErrUnauthorized, "the proxy "+p.URL+" refuses the user name and password")
				if p.Refused() == 0 || len(p.Targets()) != passed {
					t.Errorf("refused %d, passed on %d more, want the wrong password refused", p.Refused(), len(p.Targets())-passed)
				}
			})
		}
	}
}

// TestProxyThatIsGone is told from a remote that is.
func TestProxyThatIsGone(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	for _, scheme := range []string{"http", "socks5"} {
		proxy, err := creds.NewProxy(map[string][]byte{"address": []byte(scheme + "://127.0.0.1:1"), "username": []byte("user-value"), "password": []byte("pw-value")}, "ns/name")
		if err != nil {
			t.Fatal(err)
		}
		ssh := identity(s)
		ssh.Proxy = proxy
		for _, r := range []*git.Remote{remoteAt(t, s.URL("fleet"), creds.Git{Proxy: proxy}), remoteAt(t, s.SSHURL("fleet"), ssh)} {
			_, err := follow(t, r).dial()
			if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "-value") {
				t.Errorf("%s by %s: %v, want an error that names the proxy and no secret", r, scheme, err)
			}
		}
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	r := remoteAt(t, s.SSHURL("fleet"), identity(s))
	tests := map[string]struct {
		algorithms git.Algorithms
		says       string // "" means that it works
	}{
		"any":              {},
		"one exchange":     {algorithms: git.Algorithms{KeyExchanges: []string{"curve25519-sha256"}}},
		"other exchange":   {algorithms: git.Algorithms{KeyExchanges: []string{"diffie-hellman-group1-sha1"}}, says: "no common algorithm for key exchange"},
		"its key":          {algorithms: git.Algorithms{HostKeys: []string{"ssh-rsa", "ssh-ed25519"}}},
		"another's key":    {algorithms: git.Algorithms{HostKeys: []string{"ssh-rsa"}}, says: "no common algorithm for host key"},
		"both as they are": {algorithms: git.Algorithms{KeyExchanges: []string{"ecdh-sha2-nistp256"}, HostKeys: []string{"ssh-ed25519"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tc.algorithms.Validate(); err != nil {
				t.Fatal(err)
			}
			f := follow(t, r)
			f.client.Use(tc.algorithms)
			_, err := f.dial()
			if tc.says != "" {
				silent(t, err, git.ErrProtocol, tc.says)
				return
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for _, wrong := range []git.Algorithms{{KeyExchanges: []string{"ssh-rsa"}}, {HostKeys: []string{"curve25519-sha256"}}, {HostKeys: []string{""}}} {
		if err := wrong.Validate(); err == nil {
			t.Errorf("%+v is valid", wrong)
		}
	}
}

// TestTransportsAreNotHoarded: proxies and certificates come and go with their Secrets.
func TestTransportsAreNotHoarded(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
	p := credstest.StartHTTP(t, credstest.Login{})
	client := git.NewClient(git.Limits{})
	for i := range git.MaxTransports + 3 {
		proxy, err := creds.NewProxy(map[string][]byte{"address": []byte(p.URL), "username": fmt.Append(nil, i)}, "ns/name")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			conn, err := client.Dial(soon(t), remoteAt(t, s.URL("fleet"), creds.Git{Proxy: proxy}))
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	}
	if got := client.Transports(); got != git.MaxTransports {
		t.Errorf("%d transports are kept, want %d", got, git.MaxTransports)
	}
}
