package pullrequest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/pullrequest/hosttest"
)

func TestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const date = "Mon, 05 Jan 2026 10:00:00 GMT" // 1767607200
	status := hosttest.Status
	tests := map[string]struct {
		why   string
		fault hosttest.Fault
		err   error
		says  string
		wait  time.Duration
	}{
		"unauthorized": {
			why: "tokens end", fault: status(401, `{"message":"Bad credentials `+token+`"}`),
			err: pullrequest.ErrUnauthorized, says: "Bad credentials …",
		},
		"forbidden": {
			why: "the reader learns what to grant", fault: status(403, `{"message":"Resource not accessible"}`),
			err: pullrequest.ErrForbidden, says: "it needs the ",
		},
		"forbidden, by a limit": {
			why: "one of the two ways of GitHub", fault: status(403, `{"message":"API rate limit exceeded for 1.2.3.4"}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1767607290", "Date", date),
			err: pullrequest.ErrLimited, wait: 90 * time.Second,
		},
		"forbidden, by another limit": {
			why: "the other", fault: status(403, `{"message":"secondary rate limit"}`, "Retry-After", "60"),
			err: pullrequest.ErrLimited, wait: time.Minute,
		},
		"limited until a time": {
			why: "it is a time by the clock of the host", fault: status(429, "", "Retry-After", "Mon, 05 Jan 2026 10:00:30 GMT", "Date", date),
			err: pullrequest.ErrLimited, wait: 30 * time.Second,
		},
		"limited for ever": {
			why: "no host may silence us", fault: status(429, "", "Retry-After", "999999999999"),
			err: pullrequest.ErrLimited, wait: time.Hour,
		},
		"limited until the past": {
			why: "once more at once would be limited again", fault: status(429, "", "Retry-After", "Mon, 05 Jan 2026 09:00:00 GMT", "Date", date),
			err: pullrequest.ErrLimited, wait: time.Second,
		},
		"limited, without a time": {
			why: "the caller knows how to wait", fault: status(429, "Slow down", "Retry-After", "soon"), err: pullrequest.ErrLimited,
		},
		"not found":        {why: "private repositories are not found either", fault: status(404, `{"message":"Not Found"}`), err: pullrequest.ErrNotFound, says: "the token may not see it"},
		"trouble":          {why: "what a page of trouble says helps nobody", fault: status(502, "<html>sorry "+token), err: pullrequest.ErrUnavailable, says: "502"},
		"trouble for long": {why: "hosts say when they are back", fault: status(503, "", "Retry-After", "120"), err: pullrequest.ErrUnavailable, wait: 2 * time.Minute},
		"a page":           {why: "of somebody who logs in there", fault: status(200, "<html>Log in</html>", "Content-Type", "text/html"), err: pullrequest.ErrAnswer, says: "not the JSON"},
		"no list":          {why: "it is JSON of something else", fault: status(200, `{"token":"`+token+`"}`), err: pullrequest.ErrAnswer},
		"no answer":        {why: "nothing is no list", fault: status(200, ""), err: pullrequest.ErrAnswer},
		"nothing new":      {why: "no other status has a list", fault: status(204, ""), err: pullrequest.ErrAnswer},
		"too much":         {why: "memory is not the host's to fill", fault: endless(t), err: pullrequest.ErrAnswer, says: "more than 8388608 bytes"},
		"no HTTP":          {why: "what is quoted of it may have anything in it", fault: garbled, says: "malformed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.Break(tc.fault)
				_, err := w.client.Ensure(t.Context(), request())
				if err == nil || tc.err != nil && !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) {
					t.Fatalf("error %v, want %v that says %q (%s)", err, tc.err, tc.says, tc.why)
				}
				tells(t, err.Error())
				if wait, _ := pullrequest.RetryAfter(err); wait != tc.wait {
					t.Errorf("to be left alone for %s, want %s (%s)", wait, tc.wait, tc.why)
				}
				if !strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), project) {
					t.Errorf("the error names no host or repository: %v", err)
				}
				if all := w.All(); len(all) > 0 {
					t.Errorf("there are %+v", all)
				}
			})
		})
	}
}

// endless answers with a list that ends long after anybody should have stopped reading.
func endless(t *testing.T) hosttest.Fault {
	t.Helper()
	line := []byte(`{"number":1,"title":"` + strings.Repeat("x", 1<<20) + `"},`)
	return func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte("["))
		for range 64 {
			if _, err := w.Write(line); err != nil {
				return true
			}
		}
		t.Error("all of an answer of 64 MiB was read")
		return true
	}
}

// garbled answers with what is no HTTP, and has the token in it.
func garbled(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(token + "\r\n\r\n"))
	return true
}

func TestSaysWhichPermission(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		hosttest.GitHub: "'Pull requests: write'", hosttest.GitLab: "'api'", hosttest.Gitea: "'write:repository'",
	} {
		w := newWorld(t, kind)
		w.Break(hosttest.On(http.MethodPost, hosttest.Status(403, "")))
		if _, err := w.client.Ensure(t.Context(), request()); !errors.Is(err, pullrequest.ErrForbidden) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %s", kind, err, want)
		}
	}
}

func TestSaysWhyAPullRequestIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.Delete("updates")
		_, err := w.client.Ensure(t.Context(), request())
		if !errors.Is(err, pullrequest.ErrRefused) || !strings.Contains(err.Error(), "the head is no branch") {
			t.Errorf("error %v, want the words of the host", err)
		}
	})
}

func TestAnswersWithoutANumberAreNone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.Break(hosttest.On(http.MethodPost, hosttest.Status(201, `{"title":"x"}`)))
		if pr, err := w.client.Ensure(t.Context(), request()); !errors.Is(err, pullrequest.ErrAnswer) {
			t.Errorf("Ensure = %+v, %v", pr, err)
		}
	})
}

func TestWrongTokenIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{hosttest.GitHub, hosttest.GitLab, hosttest.Gitea} {
		h := hosttest.Start(t, hosttest.Options{Kind: kind, Project: project, Token: "another"})
		if _, err := newClient(t, kind, h.URL()+"/"+project).Ensure(t.Context(), request()); !errors.Is(err, pullrequest.ErrUnauthorized) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

func TestNoTokenGoesToAnotherHost(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		onEach(t, func(t *testing.T, w *world) {
			var asked atomic.Int64
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			t.Cleanup(elsewhere.Close)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				w.Break(hosttest.On(method, hosttest.Status(code, "", "Location", elsewhere.URL+"/?token="+token)))
				_, err := w.client.Ensure(t.Context(), request())
				if !errors.Is(err, pullrequest.ErrAnswer) || !strings.Contains(err.Error(), elsewhere.URL) {
					t.Errorf("%s, %d: error %v, want one that names the other host", method, code, err)
				} else {
					tells(t, err.Error())
				}
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("%d: the other host was asked %d times", code, n)
			}
		})
	}
}

func TestFollowsARenamedRepository(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Break(func(rw http.ResponseWriter, req *http.Request) bool {
			to := strings.NewReplacer("old/name", project, "old%2Fname", "team%2Fapp").Replace(req.URL.RequestURI())
			if to == req.URL.RequestURI() {
				return false
			}
			return hosttest.Status(http.StatusMovedPermanently, "", "Location", to)(rw, req)
		})
		kind := strings.TrimPrefix(t.Name(), "TestFollowsARenamedRepository/")
		client := newClient(t, kind, w.URL()+"/old/name")
		pr, err := client.Ensure(t.Context(), request())
		if kind == hosttest.GitHub {
			// The filter names the owner, and the one of before has no such branch.
			if !errors.Is(err, pullrequest.ErrAnswer) || !strings.Contains(err.Error(), "redirect to "+w.URL()) {
				t.Errorf("Ensure = %+v, %v; want that the redirect is not followed", pr, err)
			}
			return
		}
		if err != nil || pr.Number != 1 {
			t.Errorf("Ensure = %+v, %v", pr, err)
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the run is over")
		w.Break(func(_ http.ResponseWriter, req *http.Request) bool {
			cancel(gone)
			<-req.Context().Done()
			return true
		})
		if _, err := w.client.Ensure(ctx, request()); !errors.Is(err, gone) {
			t.Errorf("error %v, want the cause", err)
		}
	})
}
