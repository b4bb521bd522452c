package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"weir.dev/pkg/gitserver"
)

// monorepo is a repository as a large company has it: with twenty times the files of the
// large repository, and twenty-five times the commits.
type monorepo struct {
	repo           *gitserver.Repo
	url            string
	files, commits int
}

const (
	monoFiles   = 20 // for one of -files
	monoCommits = 25 // for one of -commits
	monoName    = "monorepo"
)

// foldersInTeam is how many folders of the monorepo share one.
const foldersInTeam = 25

// monoPath is where the monorepo has its ith file.
func monoPath(i int) string {
	folder := i / filesInFolder
	return fmt.Sprintf("team-%02d/folder-%02d/config-%02d.yaml", folder/foldersInTeam, folder%foldersInTeam, i%filesInFolder)
}

// changed returns which file a commit changes, in a folder far from the last one.
func (m monorepo) changed(commit int) int { return commit * 7919 % m.files }

// newMonorepo makes the monorepo. The git command does that in a moment; without it, it
// takes its time.
func newMonorepo(ctx context.Context, w *world) (monorepo, error) {
	repo, url, err := w.Repository(monoName)
	if err != nil {
		return monorepo{}, err
	}
	m := monorepo{repo: repo, url: url, files: w.opts.files * monoFiles, commits: w.opts.commits * monoCommits}
	err = m.importAll(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		err = m.commitAll()
	}
	return m, err
}

// importAll makes all commits with git fast-import.
func (m monorepo) importAll(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "git", "--git-dir="+m.repo.Path(), "fast-import", "--quiet")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var said limited
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(in, 1<<20)
	m.stream(out)
	err = errors.Join(out.Flush(), in.Close(), cmd.Wait())
	if err != nil {
		return fmt.Errorf("git fast-import: %w: %s", err, said.text)
	}
	return nil
}

// stream writes the history for git fast-import. What a bufio.Writer cannot write, it
// says when it is flushed.
func (m monorepo) stream(out io.Writer) {
	for c := range m.commits {
		fmt.Fprintf(out, "commit refs/heads/%s\nmark :%d\n", branch, c+1)
		fmt.Fprintf(out, "committer Bench <bench@example.com> %d +0000\ndata 6\nChange\n", 1_700_000_000+60*c)
		if c > 0 {
			fmt.Fprintf(out, "from :%d\n", c)
		}
		first, last := m.changed(c), m.changed(c)
		if c == 0 {
			first, last = 0, m.files-1
		}
		for i := first; i <= last; i++ {
			content := largeFile(i, c)
			fmt.Fprintf(out, "M 100644 inline %s\ndata %d\n%s\n", monoPath(i), len(content), content)
		}
	}
}

// commitAll makes all commits one by one.
func (m monorepo) commitAll() error {
	contents := make(map[string]string, m.files)
	for i := range m.files {
		contents[monoPath(i)] = largeFile(i, 0)
	}
	if _, err := m.repo.Commit(branch, "Change", gitserver.Files(contents)...); err != nil {
		return err
	}
	for c := 1; c < m.commits; c++ {
		if _, err := m.change(c); err != nil {
			return err
		}
	}
	return nil
}

// change makes one more commit of one file, and returns it.
func (m monorepo) change(commit int) (string, error) {
	i := m.changed(commit)
	return m.repo.Commit(branch, "Change", gitserver.File(monoPath(i), largeFile(i, commit)))
}

// clone is that of the git command, as deep as what source-controller keeps.
func (m monorepo) clone(ctx context.Context, w *world) (string, *bound, error) {
	dir := filepath.Join(w.Dir(), monoName)
	b, err := git(ctx, "clone", "--quiet", "--bare", "--depth=1", "--branch="+branch, m.url, dir)
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil, nil // no floor that anybody knows
	}
	return dir, &b, err
}

// limited keeps the beginning of what a program says.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	const most = 4096
	l.text = append(l.text, p[:min(len(p), most-len(l.text))]...)
	return len(p), nil
}
