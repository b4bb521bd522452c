package ocitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

const tokenPath = "/token"

// letIn reports whether a request has what is asked for, and refuses it if not.
func (r *Registry) letIn(w http.ResponseWriter, req *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	challenge := `Basic realm="test"`
	if r.opts.Bearer {
		scheme := "http"
		if r.opts.TLS {
			scheme = "https"
		}
		challenge = fmt.Sprintf(`Bearer realm="%s://%s%s",service="test"`, scheme, req.Host, tokenPath)
		if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && r.tokens[token] {
			return true
		}
	} else if r.knows(req) {
		return true
	}
	w.Header().Set("WWW-Authenticate", challenge)
	refuse(w)
	return false
}

// knows reports whether a request has the name and the password.
func (r *Registry) knows(req *http.Request) bool {
	if r.user == "" && r.pass == "" {
		return true
	}
	user, pass, ok := req.BasicAuth()
	return ok && user == r.user && pass == r.pass
}

// serveToken is the token server.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.knows(req) {
		refuse(w)
		return
	}
	r.issued++
	token := fmt.Sprintf("registry-token-%d", r.issued)
	r.tokens[token] = true
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300}) // a client that has gone is its own matter
}

func refuse(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}
