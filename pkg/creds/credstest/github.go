package credstest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the app of a GitHub is.
const (
	AppID          = 4711
	InstallationID = 815
)

// GitHub is an API that knows one app, which is installed for the organization "org"
// and for the user "user".
type GitHub struct {
	// URL is what githubAppBaseURL is.
	URL string
	// PrivateKey is the PEM of the key of the app.
	PrivateKey []byte

	public *rsa.PublicKey

	mu       sync.Mutex
	life     time.Duration
	requests []string
	tokens   []string
}

// StartGitHub starts an API that hands out tokens of some life; with TLS if there is a
// certificate.
func StartGitHub(t testing.TB, life time.Duration, certs ...tls.Certificate) *GitHub {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &GitHub{public: &key.PublicKey, life: life}
	g.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if len(certs) > 0 {
		server.TLS = &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS12}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	g.URL = server.URL + "/api/v3"
	return g
}

// Requests returns what was asked: method and path.
func (g *GitHub) Requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.requests...)
}

// Tokens returns the tokens that were handed out.
func (g *GitHub) Tokens() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.tokens...)
}

// ServeHTTP implements http.Handler.
func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, r.Method+" "+r.URL.Path)
	if err := g.check(r.Header.Get("Authorization")); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v3/orgs/org/installation", "GET /api/v3/users/user/installation":
		answer(w, http.StatusOK, map[string]any{"id": InstallationID, "app_id": AppID})
	case "POST /api/v3/app/installations/" + strconv.Itoa(InstallationID) + "/access_tokens":
		token := fmt.Sprintf("ghs_token-value-%d", len(g.tokens)+1)
		g.tokens = append(g.tokens, token)
		answer(w, http.StatusCreated, map[string]any{"token": token, "expires_at": time.Now().Add(g.life).UTC().Format(time.RFC3339)})
	default:
		answer(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone gets nothing
}

// check verifies a JSON Web Token as GitHub does.
func (g *GitHub) check(header string) error {
	parts := strings.Split(strings.TrimPrefix(header, "Bearer "), ".")
	if len(parts) != 3 {
		return fmt.Errorf("no token: %d parts", len(parts))
	}
	var head struct{ Alg string }
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	for i, into := range []any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return err
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now := time.Now().Unix()
	switch {
	case head.Alg != "RS256":
		return fmt.Errorf("algorithm %q", head.Alg)
	case claims.Iss != strconv.Itoa(AppID):
		return fmt.Errorf("app %q is not known", claims.Iss)
	case claims.Iat > now || claims.Exp <= now || claims.Exp-claims.Iat > 600:
		return fmt.Errorf("valid from %d to %d, and it is %d", claims.Iat, claims.Exp, now)
	}
	return rsa.VerifyPKCS1v15(g.public, crypto.SHA256, digest[:], signature)
}
