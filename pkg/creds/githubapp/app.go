// Package githubapp logs in as an installation of a GitHub App: it signs a request
// with the key of the app, for which the API hands out a token of an hour.
//
// It keeps nothing: whoever calls it keeps the token until it is about to end.
package githubapp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir.dev/pkg/creds"
)

// Keys of a Secret with the data of an app.
const (
	keyID           = "githubAppID"
	keyPrivateKey   = "githubAppPrivateKey"
	keyInstallation = "githubAppInstallationID"
	keyOwner        = "githubAppInstallationOwner"
	keyBaseURL      = "githubAppBaseURL"
)

// Username is who logs in to Git with a token for a password.
const Username = "x-access-token"

const (
	defaultBaseURL = "https://api.github.com"
	// clockDrift is by how much our clock may be before that of the API.
	clockDrift = time.Minute
	// lifetime is how long a signed request may be under way; ten minutes are the most
	// that the API takes.
	lifetime = 5 * time.Minute
)

// App is an installation of a GitHub App. It prints nothing of its key.
type App struct {
	TLS creds.TLS // of the API

	id           int64
	installation int64  // 0 if it is to be looked up
	owner        string // whose installation it is, or ""
	base         string // URL of the API
	key          *rsa.PrivateKey
}

// New reads githubAppID, githubAppPrivateKey, one of githubAppInstallationID and
// githubAppInstallationOwner, and optionally githubAppBaseURL and what creds.NewTLS
// reads. secret names the Secret in errors.
func New(data map[string][]byte, secret string) (App, error) {
	a := App{owner: strings.TrimSpace(string(data[keyOwner]))}
	var err error
	if a.id, err = number(data, keyID, secret); err != nil {
		return App{}, err
	}
	switch {
	case a.id == 0:
		return App{}, fmt.Errorf("secret '%s' has no key %q, which a GitHub App needs", secret, keyID)
	case (len(data[keyInstallation]) > 0) == (a.owner != ""):
		return App{}, fmt.Errorf("secret '%s' needs one of the keys %q and %q", secret, keyInstallation, keyOwner)
	}
	if a.installation, err = number(data, keyInstallation, secret); err != nil {
		return App{}, err
	}
	if a.base, err = parseBaseURL(data[keyBaseURL]); err != nil {
		return App{}, fmt.Errorf("secret '%s': %w", secret, err)
	}
	if a.key, err = parseKey(data[keyPrivateKey]); err != nil {
		return App{}, fmt.Errorf("secret '%s': %w", secret, err)
	}
	if a.TLS, err = creds.NewTLS(data, secret); err != nil {
		return App{}, err
	}
	return a, nil
}

// number reads a positive number; 0 means that there is none.
func number(data map[string][]byte, key, secret string) (int64, error) {
	text := strings.TrimSpace(string(data[key]))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("secret '%s': the value of %q is no number", secret, key)
	}
	return n, nil
}

// parseBaseURL reads the URL of an API, without a slash at the end.
func parseBaseURL(text []byte) (string, error) {
	raw := strings.TrimSpace(string(text))
	if raw == "" {
		return defaultBaseURL, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("the value of %q is no URL of an API", keyBaseURL) // the reason may quote a password
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// parseKey reads an RSA key in either of its PEM forms.
func parseKey(text []byte) (*rsa.PrivateKey, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("there is no key %q, which a GitHub App needs", keyPrivateKey)
	}
	bad := fmt.Errorf("the value of %q is no PEM of an RSA private key", keyPrivateKey)
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, bad
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, bad
	}
	if key, ok := key.(*rsa.PrivateKey); ok {
		return key, nil
	}
	return nil, bad
}

// Fingerprint identifies the app, its installation and the key that proves them,
// without telling it: equal for equal data.
func (a App) Fingerprint() string {
	h := sha256.New()
	public := x509.MarshalPKCS1PublicKey(&a.key.PublicKey) // nobody has it without the private half
	for _, part := range []string{a.base, strconv.FormatInt(a.id, 10), strconv.FormatInt(a.installation, 10), a.owner, string(public), a.TLS.Fingerprint()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// String names the app, and hides its key.
func (a App) String() string { return "GitHub App " + strconv.FormatInt(a.id, 10) }

// GoString is String.
func (a App) GoString() string { return a.String() }

// assertion is a JSON Web Token by which the app says who it is.
func (a App) assertion(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": strconv.FormatInt(a.id, 10),
		"iat": now.Add(-clockDrift).Unix(),
		"exp": now.Add(lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing as %s: %w", a, err)
	}
	return signed + "." + encode(signature), nil
}
