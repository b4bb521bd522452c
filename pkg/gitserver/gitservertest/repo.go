package gitservertest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"weir.dev/pkg/gitserver"
)

// Repo is a repository whose methods end the test instead of returning an error. The
// others are those of the field Repo.
type Repo struct {
	*gitserver.Repo
	t testing.TB
}

// Commit is that of gitserver.Repo.
func (r *Repo) Commit(branch, message string, changes ...gitserver.Change) string {
	r.t.Helper()
	return r.rev(r.Repo.Commit(branch, message, changes...))
}

// CommitBy is that of gitserver.Repo.
func (r *Repo) CommitBy(author gitserver.Author, branch, message string, changes ...gitserver.Change) string {
	r.t.Helper()
	return r.rev(r.Repo.CommitBy(author, branch, message, changes...))
}

// Tag is that of gitserver.Repo.
func (r *Repo) Tag(name, rev string) {
	r.t.Helper()
	r.must(r.Repo.Tag(name, rev))
}

// TagAnnotated is that of gitserver.Repo.
func (r *Repo) TagAnnotated(name, rev, message string) string {
	r.t.Helper()
	return r.rev(r.Repo.TagAnnotated(name, rev, message))
}

// TagBy is that of gitserver.Repo.
func (r *Repo) TagBy(author gitserver.Author, name, rev, message string) string {
	r.t.Helper()
	return r.rev(r.Repo.TagBy(author, name, rev, message))
}

// SetRef is that of gitserver.Repo.
func (r *Repo) SetRef(ref, rev string) {
	r.t.Helper()
	r.must(r.Repo.SetRef(ref, rev))
}

// DeleteRef is that of gitserver.Repo.
func (r *Repo) DeleteRef(ref string) {
	r.t.Helper()
	r.must(r.Repo.DeleteRef(ref))
}

// Reset is that of gitserver.Repo.
func (r *Repo) Reset(branch, rev string) {
	r.t.Helper()
	r.must(r.Repo.Reset(branch, rev))
}

// SetDefault is that of gitserver.Repo.
func (r *Repo) SetDefault(branch string) {
	r.t.Helper()
	r.must(r.Repo.SetDefault(branch))
}

// Head is that of gitserver.Repo.
func (r *Repo) Head(branch string) string {
	r.t.Helper()
	return r.rev(r.Repo.Head(branch))
}

// WriteObject is that of gitserver.Repo.
func (r *Repo) WriteObject(kind string, content []byte) string {
	r.t.Helper()
	return r.rev(r.Repo.WriteObject(kind, content))
}

// Protect is that of gitserver.Repo.
func (r *Repo) Protect(branch, why string) {
	r.t.Helper()
	r.must(r.Repo.Protect(branch, why))
}

// AcceptOptions is that of gitserver.Repo.
func (r *Repo) AcceptOptions() {
	r.t.Helper()
	r.must(r.Repo.AcceptOptions())
}

// PushOptions is that of gitserver.Repo.
func (r *Repo) PushOptions() []string {
	r.t.Helper()
	options, err := r.Repo.PushOptions()
	r.must(err)
	return options
}

// Git runs the git command on the repository and returns what it prints.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	out, err := runGit(r.t, r.Path(), nil, append([]string{"--git-dir", r.Path()}, args...))
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r *Repo) rev(rev string, err error) string {
	r.t.Helper()
	r.must(err)
	return rev
}

func (r *Repo) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// runGit runs the git command by nobody's configuration.
func runGit(t testing.TB, dir string, env, args []string) (string, error) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skipf("needs the git command: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), git, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(),
		"HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=core.fsync", "GIT_CONFIG_VALUE_1=none", // nothing here outlives the test
	)
	cmd.Env = append(cmd.Env, env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String() + complaints.String(), err
	}
	return out.String(), nil
}
