package gitserver_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

func hexBytes(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not so in time", what)
		case <-tick.C:
		}
	}
}

// origin serves a repository for the faults to come between.
func origin(t *testing.T) *gitservertest.Server {
	t.Helper()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	populate(s.Repo("fleet"))
	return s
}

// ask sends what a client sends for a pack and returns the answer, or how it broke off.
func ask(ctx context.Context, s *gitservertest.Server) (*http.Response, []byte, error) {
	head, err := s.Repo("fleet").Repo.Head("main")
	if err != nil {
		return nil, nil, err
	}
	body := "0032want " + head + "\n00000009done\n"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("fleet")+"/git-upload-pack", strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return res, content, err
}

func TestCounter(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend, Push: true})
		populate(s.Repo("fleet"))
		res, content, err := ask(t.Context(), s)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("asking for a pack: %v", err)
		}
		get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", "")
		get(t, s.URL("fleet")+"/HEAD", "")
		got := s.Counter.Counts()
		if got.Bytes <= int64(len(content)) {
			t.Errorf("counted %d bytes, want more than the %d of the pack", got.Bytes, len(content))
		}
		got.Bytes = 0
		want := gitserver.Counts{Advertisements: 1, UploadPacks: 1, Others: 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if got.Requests() != 3 {
			t.Errorf("%d requests, want 3", got.Requests())
		}
		s.Counter.Reset()
		client := login(t, s, s.SSH().ClientKey)
		if _, complaint, err := run(t, client, "git-receive-pack /fleet"); err != nil {
			t.Fatalf("%v: %s", err, complaint)
		}
		eventually(t, "the session is over", func() bool { return s.Counter.Counts().Open == 0 })
		if got := s.Counter.Counts(); got.ReceivePacks != 1 || got.Requests() != 1 || got.Bytes == 0 {
			t.Errorf("counts after a session over SSH: %+v", got)
		}
	})
}

func TestStatus(t *testing.T) {
	s := origin(t)
	for _, code := range []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable} {
		s.Faults.Set(gitserver.Status(code))
		res, _, err := ask(t.Context(), s)
		if err != nil || res.StatusCode != code {
			t.Errorf("status %v, %v; want %d", res, err, code)
		}
	}
	s.Faults.Set(nil)
	if res, _, err := ask(t.Context(), s); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("without a fault: %v, %v", res, err)
	}
}

func TestOnlyAndTimes(t *testing.T) {
	s := origin(t)
	s.Faults.Set(gitserver.Only(gitserver.UploadPack, gitserver.Times(2, gitserver.Status(http.StatusBadGateway))))
	var got []int
	for range 3 {
		got = append(got, get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", "").StatusCode)
		res, _, err := ask(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, res.StatusCode)
	}
	if diff := cmp.Diff([]int{200, 502, 200, 502, 200, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestRedirect(t *testing.T) {
	s, elsewhere := origin(t), origin(t)
	s.Faults.Set(gitserver.Redirect(strings.TrimSuffix(elsewhere.URL(""), "/")))
	res, _, err := ask(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Header.Get("Location"), elsewhere.URL("fleet")+"/git-upload-pack"; got != want {
		t.Errorf("redirected to %q, want %q", got, want)
	}
	if res := get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", ""); res.StatusCode != http.StatusOK || res.Request.URL.Host == strings.Split(s.URL(""), "/")[2] {
		t.Errorf("redirect led to %s with status %d", res.Request.URL, res.StatusCode)
	}
}

func TestGarbage(t *testing.T) {
	s := origin(t)
	for given, want := range map[string]string{"": "application/x-git-upload-pack-result", "text/html": "text/html"} {
		s.Faults.Set(gitserver.Garbage(given))
		res, content, err := ask(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != want || !strings.HasPrefix(string(content), "<html>") {
			t.Errorf("garbage is %d, %q, %q", res.StatusCode, res.Header.Get("Content-Type"), content)
		}
	}
	if out, err := s.TryGit(t.TempDir(), "ls-remote", s.URL("fleet")); err == nil {
		t.Errorf("git reads garbage as\n%s", out)
	}
}

func TestTruncate(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend})
		populate(s.Repo("fleet"))
		_, whole, err := ask(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{0, 1, 100, int64(len(whole)) - 1} {
			s.Faults.Set(gitserver.Truncate(n))
			_, content, err := ask(t.Context(), s)
			if !errors.Is(err, io.ErrUnexpectedEOF) || int64(len(content)) != n {
				t.Errorf("Truncate(%d): %d bytes and %v, want that many and %v", n, len(content), err, io.ErrUnexpectedEOF)
			}
		}
		s.Faults.Set(gitserver.Truncate(int64(len(whole))))
		if _, content, err := ask(t.Context(), s); err != nil || len(content) != len(whole) {
			t.Errorf("Truncate of the whole length: %d bytes and %v, want %d", len(content), err, len(whole))
		}
		s.Faults.Set(gitserver.Truncate(0))
		if res := get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", ""); res.StatusCode != http.StatusOK {
			t.Errorf("the refs are cut too: status %d", res.StatusCode)
		}
	})
}

func TestHang(t *testing.T) {
	s := origin(t)
	release := make(chan struct{})
	s.Faults.Set(gitserver.Hang(release))
	hung := func() bool { return s.Counter.Counts().Open == 1 }

	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { _, _, err := ask(ctx, s); gone <- err }()
	eventually(t, "a request hangs", hung)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client that gave up has %v", err)
	}
	eventually(t, "the server notices that the client is gone", func() bool { return s.Counter.Counts().Open == 0 })

	answered := make(chan error, 1)
	go func() {
		res, _, err := ask(t.Context(), s)
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		answered <- err
	}()
	eventually(t, "another request hangs", hung)
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestServerStopsWhileARequestHangs(t *testing.T) {
	var s *gitservertest.Server
	t.Run("a test that leaves one behind", func(t *testing.T) {
		s = origin(t)
		s.Faults.Set(gitserver.Hang(nil))
		ctx := context.WithoutCancel(t.Context())
		go func() { _, _, _ = ask(ctx, s) }()
		eventually(t, "a request hangs", func() bool { return s.Counter.Counts().Open == 1 })
	})
	if got := s.Counter.Counts().Open; got != 0 {
		t.Errorf("%d requests are open when the server is gone", got)
	}
}

func TestSlow(t *testing.T) {
	const rate, size = 20_000, 4_000
	handler := gitserver.Slow(rate)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	start := time.Now()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil || len(content) != size {
		t.Errorf("got %d bytes and %v, want %d", len(content), err, size)
	}
	if took, want := time.Since(start), time.Second*size/rate; took < want/2 {
		t.Errorf("it took %s, want about %s", took, want)
	}
}

func TestSSHStops(t *testing.T) {
	tests := map[string]struct {
		why  string
		with func(t *testing.T, addr string, key *gitserver.Key)
	}{
		"without a connection":         {why: "nothing holds it", with: func(*testing.T, string, *gitserver.Key) {}},
		"with one that says nothing":   {why: "it is not known to the library before it has logged in", with: func(t *testing.T, addr string, _ *gitserver.Key) { dial(t, addr) }},
		"with a session in the middle": {why: "git waits for what the client wants", with: func(t *testing.T, addr string, key *gitserver.Key) { begin(t, addr, key) }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			repo, err := gitserver.Init(dir, "fleet")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := repo.Commit("main", "first"); err != nil {
				t.Fatal(err)
			}
			key, err := gitserver.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			opts := gitserver.SSHOptions{HostKey: key.Signer()}
			opts.AuthorizedKeys = append(opts.AuthorizedKeys, key.Public())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- gitserver.ServeSSH(ctx, ln, dir, opts) }()
			tc.with(t, ln.Addr().String(), key)
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("ServeSSH: %v (%s)", err, tc.why)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("ServeSSH does not return (%s)", tc.why)
			}
		})
	}
}
