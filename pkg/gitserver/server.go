package gitserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
)

// Options say who may do what, and how it is answered. The zero value lets everybody
// read.
type Options struct {
	// Backend is what speaks the protocol.
	Backend Backend
	// Push lets clients write.
	Push bool
	// Username and Password are asked for if either is set.
	Username, Password string
	// BearerToken is asked for if it is set; with a password too, either will do.
	BearerToken string
	// Config is git configuration for GitCommand, which ignores that of the user and
	// of the system, but not of the repository: "uploadpack.allowFilter": "false".
	Config map[string]string
	// Middleware is put around everything, authentication included, the first
	// outermost.
	Middleware []Middleware
	// ErrorLog gets what clients are not told; nil discards it.
	ErrorLog *log.Logger
}

// Validate reports options that cannot work.
func (o Options) Validate() error {
	switch {
	case strings.Contains(o.Username, ":"):
		return errors.New("a user name with a colon cannot be sent by basic authentication")
	case strings.ContainsAny(o.BearerToken, " \t\r\n"):
		return errors.New("a bearer token has no white space")
	}
	return checkConfig(o.Config)
}

// checkConfig accepts names of git configuration: section.key or section.sub.key.
func checkConfig(config map[string]string) error {
	for key, value := range config {
		if !strings.Contains(key, ".") || strings.ContainsAny(key, "=\n\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("%q is no git configuration", key)
		}
	}
	return nil
}

// Middleware wraps a handler with another.
type Middleware func(next http.Handler) http.Handler

// NewHandler serves the repositories of dir, which exists, under "/": clone URLs are
// http://host/<name>. Repositories may come and go while it serves.
func NewHandler(dir string, opts Options) (http.Handler, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("serving git over HTTP: %w", err)
	}
	repos, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	speaker, err := newSpeaker(opts.Backend, httpBackend, settings{config: opts.Config, log: orDiscard(opts.ErrorLog)})
	if err != nil {
		return nil, fmt.Errorf("serving git over HTTP: %w", err)
	}
	var handler http.Handler = &server{repos: repos, speaker: speaker, push: opts.Push}
	handler = authenticate(opts, handler)
	for i := len(opts.Middleware) - 1; i >= 0; i-- {
		handler = opts.Middleware[i](handler)
	}
	return handler, nil
}

func orDiscard(l *log.Logger) *log.Logger {
	if l == nil {
		return log.New(io.Discard, "", 0)
	}
	return l
}

// server answers the requests of the smart-HTTP protocol and no others.
type server struct {
	repos   directory
	speaker speaker
	push    bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, what := splitPath(r.URL.Path)
	method := http.MethodPost
	asked := service(strings.TrimPrefix(what, "/"))
	if what == infoRefs {
		method = http.MethodGet
		asked = service(r.URL.Query().Get("service"))
	}
	switch {
	case what == "" || asked != uploadPack && asked != receivePack:
		http.Error(w, "not the smart HTTP protocol of git", http.StatusNotFound)
		return
	case r.Method != method:
		w.Header().Set("Allow", method)
		http.Error(w, "this takes "+method, http.StatusMethodNotAllowed)
		return
	case asked == receivePack && !s.push:
		http.Error(w, "this server takes no pushes", http.StatusForbidden)
		return
	}
	repo, err := s.repos.find(name)
	if err != nil {
		http.Error(w, "repository not found", http.StatusNotFound)
		return
	}
	version := protocolVersion(r.Header.Get("Git-Protocol"))
	s.speaker.overHTTP(w, r, exchange{service: asked, repo: repo, protocol: version})
}

const infoRefs = "/info/refs"

// splitPath splits the path of a URL in the name of a repository and what is asked of
// it: "/info/refs", "/git-upload-pack", "/git-receive-pack", or "" for anything else.
func splitPath(path string) (name, what string) {
	for _, what := range []string{infoRefs, "/" + string(uploadPack), "/" + string(receivePack)} {
		if name, ok := strings.CutSuffix(path, what); ok {
			return strings.TrimPrefix(name, "/"), what
		}
	}
	return "", ""
}

// authenticate lets those through who have the password or the token of opts.
func authenticate(opts Options, next http.Handler) http.Handler {
	basic := opts.Username != "" || opts.Password != ""
	bearer := opts.BearerToken != ""
	if !basic && !bearer {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		// Both are compared, so that the time tells nothing.
		okBasic := same(user, opts.Username) & same(password, opts.Password)
		if basic && ok && okBasic == 1 {
			next.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if bearer && strings.EqualFold(scheme, "Bearer") && same(token, opts.BearerToken) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		if basic {
			w.Header().Add("WWW-Authenticate", `Basic realm="git"`)
		}
		if bearer {
			w.Header().Add("WWW-Authenticate", `Bearer realm="git"`)
		}
		http.Error(w, "credentials needed", http.StatusUnauthorized)
	})
}

// same compares in a time that tells nothing of either.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
