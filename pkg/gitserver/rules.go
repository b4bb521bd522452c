package gitserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// What both back ends look for in the folder of a repository. GitCommand does by hooks.
const (
	// protectedFolder has a file for each ref that takes no pushes, with the reason.
	protectedFolder = "weir-protected"
	// optionsFile has the push options of the last push, a line each.
	optionsFile = "weir-push-options"
)

// updateHook is run by git in the folder of the repository.
const updateHook = `#!/bin/sh
if [ -f "` + protectedFolder + `/$1" ]; then
	cat "` + protectedFolder + `/$1" >&2
	exit 1
fi
`

// optionsHook writes each option on a line.
const optionsHook = `#!/bin/sh
i=0
: > ` + optionsFile + `
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
	eval "printf '%s\n' \"\$GIT_PUSH_OPTION_$i\"" >> ` + optionsFile + `
	i=$((i+1))
done
`

// Protect makes servers refuse pushes to a branch, as a hook or a rule of a host does.
// Whoever pushes is told why, in whatever bytes these are. What Repo itself does is not
// refused.
func (r *Repo) Protect(branch, why string) error {
	name, err := branchRef(branch)
	if err != nil {
		return err
	}
	if err := r.hook("update", updateHook); err != nil {
		return err
	}
	return r.writeFile(filepath.Join(protectedFolder, filepath.FromSlash(name.String())), why, 0o644)
}

// AcceptOptions makes servers take push options.
func (r *Repo) AcceptOptions() error {
	config, err := os.OpenFile(filepath.Join(r.Path(), "config"), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("accepting push options: %w", err)
	}
	_, err = config.WriteString("[receive]\n\tadvertisePushOptions = true\n")
	if err := errors.Join(err, config.Close()); err != nil {
		return fmt.Errorf("accepting push options: %w", err)
	}
	if err := r.hook("post-receive", optionsHook); err != nil {
		return err
	}
	return r.writeFile(optionsFile, "", 0o644)
}

// PushOptions returns the options of the last push that moved a ref.
func (r *Repo) PushOptions() ([]string, error) {
	content, err := os.ReadFile(filepath.Join(r.Path(), optionsFile))
	if err != nil {
		return nil, fmt.Errorf("reading push options: %w", err)
	}
	return strings.FieldsFunc(string(content), func(c rune) bool { return c == '\n' }), nil
}

func (r *Repo) hook(name, script string) error {
	return r.writeFile(filepath.Join("hooks", name), script, 0o755)
}

func (r *Repo) writeFile(name, content string, mode os.FileMode) error {
	path := filepath.Join(r.Path(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return nil
}

// protected returns an error, which the client is told, if a ref takes no pushes.
func (s *store) protected(name plumbing.ReferenceName) error {
	path := filepath.Join(s.dir, protectedFolder, filepath.FromSlash(name.String()))
	why, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return errors.New("internal error")
	}
	line, _, _ := strings.Cut(string(why), "\n")
	return fmt.Errorf("hook declined: %s", line)
}

// takesOptions reports whether clients may send push options.
func (s *store) takesOptions() bool {
	_, err := os.Stat(filepath.Join(s.dir, optionsFile))
	return err == nil
}

// readOptions reads what comes between the commands of a push and its pack, if the
// client has said so.
func readOptions(req *packp.ReferenceUpdateRequest, in io.Reader) ([]string, error) {
	if !req.Capabilities.Supports(capability.PushOptions) {
		return nil, nil
	}
	const most = 100
	var all []string
	lines := pktline.NewScanner(in)
	for lines.Scan() {
		switch line := strings.TrimSuffix(string(lines.Bytes()), "\n"); {
		case line == "":
			return all, nil
		case len(all) == most:
			return nil, errors.New("too many push options")
		default:
			all = append(all, line)
		}
	}
	return nil, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}

// recordOptions keeps the options of a push.
func (s *store) recordOptions(options []string) error {
	if !s.takesOptions() {
		return nil
	}
	content := strings.Join(options, "\n")
	return os.WriteFile(filepath.Join(s.dir, optionsFile), []byte(content), 0o644)
}
