package gitserver

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The parts of the git command that a server runs.
const (
	httpBackend = "git-http-backend"
	gitItself   = "git"
)

// command speaks by running a part of the git command.
type command struct {
	program string // absolute
	env     []string
	log     *log.Logger
}

func (c *command) overHTTP(w http.ResponseWriter, r *http.Request, x exchange) {
	handler := cgi.Handler{
		Path:   c.program,
		Dir:    x.repo.root,
		Env:    append(c.environ(x), "GIT_PROJECT_ROOT="+x.repo.root, "GIT_HTTP_EXPORT_ALL=1"),
		Logger: c.log,
		Stderr: c.log.Writer(),
	}
	handler.ServeHTTP(w, backendRequest(r, x))
}

// environ returns the environment for one exchange.
func (c *command) environ(x exchange) []string {
	env := slices.Clone(c.env)
	if x.protocol != "" {
		env = append(env, "GIT_PROTOCOL="+x.protocol)
	}
	return env
}

// backendRequest returns r as git http-backend is to see it: for the repository's
// real path, and with a body of unknown length where it comes in chunks, which
// net/http/cgi refuses and git reads to its end.
func backendRequest(r *http.Request, x exchange) *http.Request {
	out := r.Clone(r.Context())
	out.TransferEncoding = nil
	out.Header.Del("Authorization") // git would have it in its environment
	_, what := splitPath(r.URL.Path)
	out.URL = &url.URL{Path: "/" + x.repo.name + what, RawQuery: r.URL.RawQuery}
	return out
}

func (c *command) overStreams(ctx context.Context, x exchange, s streams) error {
	cmd := exec.CommandContext(ctx, c.program, strings.TrimPrefix(string(x.service), "git-"), x.repo.path())
	cmd.Env = c.environ(x)
	cmd.Stdout, cmd.Stderr = s.out, s.err
	cmd.WaitDelay = 5 * time.Second // for children that outlive a killed git
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("running %s: %w", x.service, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running %s: %w", x.service, err)
	}
	// Not waited for: a client may keep its end open until it hears how git ended.
	go func() {
		defer stdin.Close()
		_, _ = io.Copy(stdin, s.in)
	}()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("running %s: %w", x.service, err)
	}
	return nil
}
