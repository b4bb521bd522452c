package git_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// moved redirects what is below a path.
func moved(from, to string) gitserver.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if path, ok := strings.CutPrefix(r.URL.RequestURI(), from); ok {
				http.Redirect(w, r, to+path, http.StatusMovedPermanently)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	secret := creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value")}
	token := creds.Git{BearerToken: creds.Hide("token-value")}
	tests := map[string]struct {
		why   string
		creds creds.Git
		to    string // below which URL "fleet" is now; "" is another server
		tls   bool   // the first server has it
		is    error
		says  string
	}{
		"same host":                    {why: "a repository was renamed", to: "same"},
		"same host, credentials":       {to: "same", creds: secret},
		"other host":                   {why: "there is nothing to be lost"},
		"other host, password":         {creds: secret, is: git.ErrUntrusted, says: "must not see the credentials"},
		"other host, token":            {creds: token, is: git.ErrUntrusted, says: "must not see the credentials"},
		"out of encryption":            {tls: true, is: git.ErrUntrusted, says: "from https to http"},
		"out of encryption, with them": {tls: true, creds: secret, is: git.ErrUntrusted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := gitserver.Options{Backend: gitserver.GoGit}
			if !tc.creds.Anonymous() {
				opts.Username, opts.Password, opts.BearerToken = "user-value", "pw-value", "token-value"
			}
			start := gitservertest.Start
			if tc.tls {
				start = gitservertest.StartTLS
			}
			first, second := fleet(t, opts, start), fleet(t, opts, gitservertest.Start)
			base := second.URL("")
			if tc.to == "same" {
				base, second = first.URL(""), first
			}
			first.Faults.Set(moved("/old/", base))
			c := tc.creds
			c.TLS.CA = first.CA
			f := follow(t, remoteAt(t, first.URL("old/fleet"), c))
			snapshot, err := f.try(branch("main"))
			if tc.is != nil {
				silent(t, err, tc.is, tc.says)
				if n := second.Counter.Counts().Requests(); n > 0 {
					t.Errorf("%d requests to where it must not go (%s)", n, tc.why)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(app, content(t, snapshot)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if got := second.Counter.Counts(); got.UploadPacks != 1 {
				t.Errorf("%+v, want the pack from where the redirect leads", got)
			}
		})
	}
}

func TestHTTPRedirectsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	to := func(path string) gitserver.Middleware {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, path, http.StatusFound)
			})
		}
	}
	t.Run("a page", func(t *testing.T) {
		t.Parallel()
		s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
		s.Faults.Set(to("/login"))
		_, err := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{})).dial()
		silent(t, err, git.ErrProtocol, "no Git repository")
		if got := s.Counter.Counts(); got.Requests() != 1 {
			t.Errorf("%+v, want one request: nobody asks for a page", got)
		}
	})
	t.Run("a circle", func(t *testing.T) {
		t.Parallel()
		s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
		s.Faults.Set(to("/fleet/info/refs?service=git-upload-pack"))
		_, err := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{})).dial()
		silent(t, err, git.ErrProtocol, "redirects")
	})
	t.Run("the pack", func(t *testing.T) {
		t.Parallel()
		s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
		other := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
		s.Faults.Set(gitserver.Only(gitserver.UploadPack, gitserver.Redirect(other.URL(""))))
		_, err := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{})).try(branch("main"))
		silent(t, err, git.ErrProtocol, "307")
		if n := other.Counter.Counts().Requests(); n > 0 {
			t.Errorf("%d requests elsewhere than where the refs came from", n)
		}
	})
}
