package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Backend is what speaks the git protocol.
type Backend int

const (
	// Auto is GitCommand where the git command is installed with all that is needed,
	// and GoGit elsewhere.
	Auto Backend = iota
	// GitCommand runs git 2.31 or newer for every request.
	GitCommand
	// GoGit answers in this process. It has no shallow fetches, no side bands, no
	// hooks and only version 0 of the protocol, and lets any commit be asked for.
	GoGit
)

// String returns the name of the backend.
func (b Backend) String() string {
	switch b {
	case Auto:
		return "Auto"
	case GitCommand:
		return "GitCommand"
	case GoGit:
		return "GoGit"
	default:
		return "Backend(" + strconv.Itoa(int(b)) + ")"
	}
}

// ErrNoCommand says that GitCommand is asked for, and the git command or a part of it
// is not installed.
var ErrNoCommand = errors.New("git command is missing")

// service is what a client asks for, by the name that the protocol has for it.
type service string

const (
	uploadPack  service = "git-upload-pack"
	receivePack service = "git-receive-pack"
)

// exchange is a request for a service of a repository that exists.
type exchange struct {
	service  service
	repo     repository
	protocol string // what the client says of protocol versions
}

// streams is what a client sends, and what it gets.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// speaker answers exchanges that were checked.
type speaker interface {
	// overHTTP answers the request for the refs, or the POST to the service.
	overHTTP(w http.ResponseWriter, r *http.Request, x exchange)
	// overStreams has the whole exchange, as over SSH.
	overStreams(ctx context.Context, x exchange, s streams) error
}

// settings are the options that HTTP and SSH share.
type settings struct {
	config map[string]string
	log    *log.Logger
}

// newSpeaker returns what speaks for b. helper is the part of git that it would run.
func newSpeaker(b Backend, helper string, s settings) (speaker, error) {
	switch b {
	case GoGit:
		return native{log: s.log}, nil
	case Auto, GitCommand:
		program, err := findCommand(helper)
		switch {
		case err == nil:
			return &command{program: program, env: commandEnv(s.config), log: s.log}, nil
		case b == Auto && errors.Is(err, ErrNoCommand):
			return native{log: s.log}, nil
		default:
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s is not a backend", b)
	}
}

// findCommand returns the absolute path of the part of git called helper. Some
// distributions pack git-http-backend apart from git.
func findCommand(helper string) (string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoCommand, err)
	}
	if helper == gitItself {
		return filepath.Abs(git)
	}
	out, err := exec.Command(git, "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("%w: asking for its exec path: %w", ErrNoCommand, err)
	}
	path, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(out)), helper))
	if err != nil {
		return "", fmt.Errorf("%w: it has no %s: %w", ErrNoCommand, helper, err)
	}
	return path, nil
}

// commandEnv returns an environment in which nobody's own configuration has a say.
func commandEnv(config map[string]string) []string {
	all := map[string]string{
		// The files may belong to another user than ours, as on a volume.
		"safe.directory": "*",
		// A server in a test or a demo is gone before housekeeping pays off, and
		// housekeeping goes on after the request.
		"gc.auto":          "0",
		"maintenance.auto": "false",
		"receive.autogc":   "false",
		// What the large hosts allow.
		"uploadpack.allowfilter":              "true",
		"uploadpack.allowtipsha1inwant":       "true",
		"uploadpack.allowreachablesha1inwant": "true",
		// Whether to take a push is decided before git is asked.
		"http.receivepack": "true",
	}
	for key, value := range config {
		all[strings.ToLower(key)] = value
	}
	env := []string{
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"LC_ALL=C",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(all)),
	}
	for i, key := range slices.Sorted(maps.Keys(all)) {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, all[key]))
	}
	return env
}

// protocolVersion returns what a client says of protocol versions, if that is what it
// looks like: key=value pairs that are passed on to git.
func protocolVersion(said string) string {
	const most = 256
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	if len(said) > most || strings.IndexFunc(said, odd) >= 0 {
		return ""
	}
	return said
}
