package git_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// TestPushAnswerIsLost: the remote has done everything, and its answer does not arrive.
func TestPushAnswerIsLost(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"))
		d := draft(t, f.fetch(branch("main")), edit("a", "2"))
		s.Faults.Set(gitserver.Only(gitserver.ReceivePack, gitserver.Lose()))
		s.Counter.Reset()
		f.mustPush("main", d)
		if got := s.Counter.Counts(); got.ReceivePacks != 1 || r.Head("main") != d.Hash.String() {
			t.Errorf("%+v, and the branch is at %s; want one push of %s", got, r.Head("main"), d.Hash)
		}
		f.mustPush("main", d) // which finds nothing to do
		if got := s.Counter.Counts(); got.ReceivePacks != 1 {
			t.Errorf("%+v, want the push not to be made again", got)
		}
	})
}

// TestPushBreaks: whatever happens to a push, the branch is where it was.
func TestPushBreaks(t *testing.T) {
	t.Parallel()
	const result = "application/x-git-receive-pack-result"
	const advertisement = "application/x-git-receive-pack-advertisement"
	tests := map[string]struct {
		why   string
		kind  gitserver.Kind
		fault gitserver.Middleware
		is    error
		says  string
	}{
		"no refs: 401":         {kind: gitserver.Advertisement, fault: gitserver.Status(401), is: git.ErrUnauthorized},
		"no refs: 403":         {why: "the token may read", kind: gitserver.Advertisement, fault: gitserver.Status(403), is: git.ErrUnauthorized, says: "push"},
		"no refs: 404":         {kind: gitserver.Advertisement, fault: gitserver.Status(404), is: git.ErrNotFound},
		"no refs: login page":  {kind: gitserver.Advertisement, fault: gitserver.Garbage("text/html"), is: git.ErrProtocol},
		"no refs: garbage":     {kind: gitserver.Advertisement, fault: gitserver.Garbage(""), is: git.ErrProtocol},
		"no refs: empty":       {kind: gitserver.Advertisement, fault: answer(advertisement, ""), is: git.ErrProtocol},
		"no refs: a flush":     {why: "then nobody says how the push went", kind: gitserver.Advertisement, fault: answer(advertisement, "0000"), is: git.ErrProtocol, says: "report"},
		"no refs: refusal":     {kind: gitserver.Advertisement, fault: answer(advertisement, "001aERR pw-value, go away\n"), is: git.ErrProtocol, says: "go away"},
		"push: 401":            {kind: gitserver.ReceivePack, fault: gitserver.Status(401), is: git.ErrUnauthorized},
		"push: 403":            {kind: gitserver.ReceivePack, fault: gitserver.Status(403), is: git.ErrUnauthorized, says: "push"},
		"push: 500":            {kind: gitserver.ReceivePack, fault: gitserver.Status(500), is: git.ErrProtocol, says: "500"},
		"push: login page":     {kind: gitserver.ReceivePack, fault: gitserver.Garbage("text/html"), is: git.ErrProtocol},
		"push: empty":          {kind: gitserver.ReceivePack, fault: answer(result, ""), is: git.ErrProtocol},
		"push: refusal":        {kind: gitserver.ReceivePack, fault: answer(result, "0021ERR no pw-value is like this\n"), is: git.ErrProtocol, says: "is like this"},
		"push: no report":      {kind: gitserver.ReceivePack, fault: answer(result, "0000"), is: git.ErrProtocol, says: "answer"},
		"push: half a report":  {kind: gitserver.ReceivePack, fault: answer(result, "000eunpack ok\n"), is: git.ErrProtocol, says: "answer"},
		"push: not of the ref": {kind: gitserver.ReceivePack, fault: answer(result, "000eunpack ok\n0016ok refs/heads/one\n0000"), is: git.ErrProtocol, says: "does not say"},
		"push: no room":        {kind: gitserver.ReceivePack, fault: answer(result, "0019unpack pw-value full\n0000"), is: git.ErrRefused, says: "full"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Of the two, this one has no side bands.
			s, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit, Username: "user-value", Password: "pw-value"})
			head := r.Commit("main", "one", gitserver.File("a", "1"))
			f.remote = remoteAt(t, s.URL("fleet"), creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value")})
			d := draft(t, f.fetch(branch("main")), edit("a", "2"))
			s.Faults.Set(gitserver.Only(tc.kind, tc.fault))
			silent(t, f.push("main", d), tc.is, tc.says)
			if got := r.Head("main"); got != head {
				t.Errorf("the branch is at %s, want %s (%s)", got, head, tc.why)
			}
			s.Faults.Set(nil)
			f.mustPush("main", d)
		})
	}
}

// TestPushQuotesNoHalfSecret: what a remote says is cut somewhere, and not in the middle of
// a password that it echoes.
func TestPushQuotesNoHalfSecret(t *testing.T) {
	t.Parallel()
	s, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
	r.Commit("main", "one", gitserver.File("a", "1"))
	d := draft(t, f.fetch(branch("main")), edit("a", "2"))
	f.remote = remoteAt(t, s.URL("fleet"), creds.Git{Username: creds.Hide("me"), Password: creds.Hide("correct-horse-value")})
	for blank := 4070; blank < 4100; blank += 2 { // what is kept ends there
		said := strings.Repeat("\a ", blank/2) + "correct-horse-value"
		body := fmt.Sprintf("%04x\x02%s", len(said)+5, said) + "003c\x01000eunpack ok\n0025ng refs/heads/main hook declined\n00000000"
		s.Faults.Set(gitserver.Only(gitserver.ReceivePack, answer("application/x-git-receive-pack-result", body)))
		err := f.push("main", d)
		silent(t, err, git.ErrRefused, "hook declined")
		if err != nil && strings.Contains(err.Error(), "corr") {
			t.Errorf("%q tells a part of the password", err)
		}
	}
}

// TestPushInBands: what comes in side bands is read in whatever pieces it comes.
func TestPushInBands(t *testing.T) {
	t.Parallel()
	band := func(n byte, text string) string { return fmt.Sprintf("%04x%c%s", len(text)+5, n, text) }
	report := band(1, "000eunpack ok\n0017ok refs/heads/main\n0000")
	tests := map[string]struct {
		body string
		is   error
		says string
	}{
		"whole":         {body: report + "0000"},
		"in pieces":     {body: band(1, "000eun") + band(2, "working\n") + band(1, "pack ok\n0017ok refs/hea") + band(1, "ds/main\n0000") + "0000"},
		"refused":       {body: band(2, "no ") + band(2, "way\n") + band(1, "000eunpack ok\n0025ng refs/heads/main hook declined\n0000") + "0000", is: git.ErrRefused, says: `"hook declined"; it says "no way"`},
		"without words": {body: band(1, "000eunpack ok\n0017ng refs/heads/main\n0000") + "0000", is: git.ErrRefused, says: "no reason"},
		"fatal":         {body: band(2, "oh\n") + band(3, "disk\x1b[1m full\n"), is: git.ErrProtocol, says: `"oh; disk full"`},
		"cut":           {body: band(2, "oh\n") + band(1, "000eunpack ok\n"), is: git.ErrProtocol, says: "oh"},
		"other band":    {body: band(4, "x"), is: git.ErrProtocol},
		"no bands":      {body: "000eunpack ok\n0017ok refs/heads/main\n0000", is: git.ErrProtocol},
		"then words":    {body: report + band(2, "checks are queued\n") + "0000"},
		"then cut":      {body: report + band(2, "checks are")[:8]},
		"then fatal":    {body: report + band(3, "a hook died\n")},
		"then endless":  {body: report + strings.Repeat(band(2, strings.Repeat("x", 60_000)), 300)},
		"endless":       {body: strings.Repeat(band(2, strings.Repeat("x", 60_000)), 300), is: git.ErrTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
			r.Commit("main", "one", gitserver.File("a", "1"))
			d := draft(t, f.fetch(branch("main")), edit("a", "2"))
			s.Faults.Set(gitserver.Only(gitserver.ReceivePack, answer("application/x-git-receive-pack-result", tc.body)))
			err := f.push("main", d)
			if tc.is != nil {
				silent(t, err, tc.is, tc.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPushInTime: a remote that is silent keeps nobody longer than the caller's time.
func TestPushInTime(t *testing.T) {
	t.Parallel()
	over := errors.New("spec.timeout of 1s is over")
	for _, kind := range []gitserver.Kind{gitserver.Advertisement, gitserver.ReceivePack} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
			r.Commit("main", "one", gitserver.File("a", "1"))
			d := draft(t, f.fetch(branch("main")), edit("a", "2"))
			ctx, cancel := context.WithCancelCause(soon(t))
			s.Faults.Set(gitserver.Only(kind, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					_, _ = io.Copy(io.Discard, req.Body) // or it is not noticed that the client is gone
					cancel(over)
					<-req.Context().Done()
				})
			}))
			err := f.client.Push(ctx, f.remote, d, []git.RefUpdate{{Name: ref("main"), Old: d.Parent, New: d.Hash}}, git.PushOptions{})
			silent(t, err, over, "in time")
		})
	}
}

func TestPushOverSSH(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		opts.Push = true
		s := gitservertest.Start(t, opts)
		r := s.Repo("fleet")
		r.Commit("main", "one", gitserver.File("a", noise(1, 200_000)), gitserver.File("b", "1"))
		r.AcceptOptions()
		f := follow(t, remoteAt(t, s.SSHURL("fleet"), identity(s)))
		d := draft(t, f.fetch(branch("main")), edit("a", noise(2, 3_000_000)))
		s.Counter.Reset()
		options := git.PushOptions{Options: map[string]string{"topic": "x"}}
		if err := f.client.Push(soon(t), f.remote, d, []git.RefUpdate{{Name: ref("main"), Old: d.Parent, New: d.Hash}}, options); err != nil {
			t.Fatal(err)
		}
		if got := s.Counter.Counts(); got.Requests() != 1 || got.ReceivePacks != 1 {
			t.Errorf("%+v, want one session", got)
		}
		if diff := cmp.Diff(map[string]string{"a": noise(2, 3_000_000), "b": "1"}, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content: %d bytes of difference", len(diff))
		}
		if diff := cmp.Diff([]string{"topic=x"}, r.PushOptions()); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
		late := draft(t, f.fetch(branch("main")), edit("b", "2"))
		r.Commit("main", "a person", gitserver.File("c", "1"))
		silent(t, f.push("main", late), git.ErrMoved)
		r.Protect("main", "not today\n")
		silent(t, f.push("main", draft(t, f.fetch(branch("main")), edit("b", "2"))), git.ErrRefused, "not today")
	})
}

// TestPushWaitsForHooks: a remote reports first and runs its last hooks then, which
// nobody cuts off who waits for the end.
func TestPushWaitsForHooks(t *testing.T) {
	t.Parallel()
	opts := needs(t, gitserver.GitCommand)
	opts.Push = true
	s := gitservertest.Start(t, opts)
	urls := map[string]*git.Remote{
		"HTTP": remoteAt(t, s.URL("fleet"), creds.Git{}),
		"SSH":  remoteAt(t, s.SSHURL("fleet"), identity(s)),
	}
	r := s.Repo("fleet")
	r.Commit("main", "one", gitserver.File("a", "1"))
	hook := "#!/bin/sh\necho begun >&2\nsleep 0.3\necho still here >&2\necho done >> done\n"
	folder := filepath.Join(r.Path(), "hooks")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "post-receive"), []byte(hook), 0o755)); err != nil {
		t.Fatal(err)
	}
	want := ""
	for name, remote := range urls {
		f := follow(t, remote)
		f.mustPush("main", draft(t, f.fetch(branch("main")), edit("a", name)))
		want += "done\n"
		if got, err := os.ReadFile(filepath.Join(r.Path(), "done")); err != nil || string(got) != want {
			t.Errorf("%s: what hooks have done: %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestPushIsKnownBeforeTheEnd: where a hook takes longer than the caller has time, the
// report counts.
func TestPushIsKnownBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
	r.Commit("main", "one", gitserver.File("a", "1"))
	d := draft(t, f.fetch(branch("main")), edit("a", "2"))
	ctx, cancel := context.WithCancel(soon(t))
	s.Faults.Set(gitserver.Only(gitserver.ReceivePack, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body) // or it is not noticed that the client is gone
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			_, _ = io.WriteString(w, "002e\x01000eunpack ok\n0017ok refs/heads/main\n0000")
			_ = http.NewResponseController(w).Flush()
			time.AfterFunc(500*time.Millisecond, cancel) // by when the report was read
			<-req.Context().Done()
		})
	}))
	if err := f.client.Push(ctx, f.remote, d, []git.RefUpdate{{Name: ref("main"), Old: d.Parent, New: d.Hash}}, git.PushOptions{}); err != nil {
		t.Error(err)
	}
	if ctx.Err() == nil {
		t.Error("nobody has waited for the hooks")
	}
}

// TestPushOverSSHReadOnly: there are keys that may only fetch.
func TestPushOverSSHReadOnly(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	f := follow(t, remoteAt(t, s.SSHURL("fleet"), identity(s)))
	silent(t, f.push("main", draft(t, f.fetch(branch("main")), edit("a", "2"))), git.ErrUnauthorized, "takes no pushes")
	f.remote = remoteAt(t, s.SSHURL("none"), identity(s))
	s2, r2, f2 := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r2.Commit("main", "one", gitserver.File("a", "1"))
	d := draft(t, f2.fetch(branch("main")), edit("a", "2"))
	f2.remote = remoteAt(t, s2.SSHURL("none"), identity(s2))
	silent(t, f2.push("main", d), git.ErrNotFound)
}

// TestPushTrust: the password goes to whom it is for only.
func TestPushTrust(t *testing.T) {
	t.Parallel()
	s := gitservertest.StartTLS(t, gitserver.Options{Backend: gitserver.GoGit, Push: true, Username: "user-value", Password: "pw-value"})
	r := s.Repo("fleet")
	r.Commit("main", "one", gitserver.File("a", "1"))
	c := creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value"), TLS: creds.TLS{CA: s.CA}}
	f := follow(t, remoteAt(t, s.URL("fleet"), c))
	d := draft(t, f.fetch(branch("main")), edit("a", "2"))
	f.mustPush("main", d)
	stranger := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{Username: c.Username, Password: c.Password}))
	silent(t, stranger.push("main", d), git.ErrUntrusted, "certificate")
	s.Faults.Set(gitserver.Redirect("https://localhost"))
	silent(t, f.push("main", d), git.ErrUntrusted, "localhost")
}
