package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"weir.dev/pkg/creds"
	"weir.dev/source-controller/internal/bucket/objects"
)

// early is how long before they end that temporary keys are replaced.
const early = time.Minute

// Login is how requests are signed. What Anonymous returns signs none.
type Login struct {
	credentials *credentials.Credentials
	secrets     []string // which no error may tell
}

// Keys are what a request is signed with, for a time.
type Keys struct {
	Access, Secret, Session creds.Hidden
	Ends                    time.Time
}

// Anonymous returns the login of nobody.
func Anonymous() Login {
	return Login{credentials: credentials.NewStatic("", "", "", credentials.SignatureAnonymous)}
}

// Static returns the login with keys that do not end.
func Static(access, secret creds.Hidden) Login {
	return Login{
		credentials: credentials.NewStaticV4(access.Reveal(), secret.Reveal(), ""),
		secrets:     []string{secret.Reveal()},
	}
}

// LDAP returns the login with the keys that a token service at a URL gives to whom an
// LDAP directory knows.
func LDAP(endpoint string, user creds.Basic, client *http.Client) Login {
	return Login{
		credentials: credentials.New(&ldap{LDAPIdentity: credentials.LDAPIdentity{
			Client: client, STSEndpoint: endpoint,
			LDAPUsername: user.Username.Reveal(), LDAPPassword: user.Password.Reveal(),
		}}),
		secrets: []string{user.Password.Reveal()},
	}
}

// Temporary returns the login with keys that fetch gets, again before they end.
func Temporary(fetch func(context.Context) (Keys, error)) Login {
	return Login{credentials: credentials.New(&temporary{fetch: fetch})}
}

// ldap asks a token service, and takes no answer for keys that has none: without keys,
// requests would go unsigned.
type ldap struct{ credentials.LDAPIdentity }

// RetrieveWithCredContext implements credentials.Provider.
func (l *ldap) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := l.LDAPIdentity.RetrieveWithCredContext(cc)
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = errors.New("its answer has no keys")
	}
	if err != nil {
		return credentials.Value{}, fmt.Errorf("logging in with the token service: %w", objects.Clean(err, l.LDAPPassword))
	}
	return v, nil
}

// temporary are keys that fetch gets.
type temporary struct {
	fetch func(context.Context) (Keys, error)

	mu   sync.Mutex
	ends time.Time
}

// RetrieveWithCredContext implements credentials.Provider.
func (t *temporary) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := cc.Context
	if ctx == nil {
		return credentials.Value{}, errors.New("keys are fetched for requests only")
	}
	keys, err := t.fetch(ctx)
	if err != nil {
		return credentials.Value{}, err
	}
	t.mu.Lock()
	t.ends = keys.Ends
	t.mu.Unlock()
	return credentials.Value{
		AccessKeyID: keys.Access.Reveal(), SecretAccessKey: keys.Secret.Reveal(), SessionToken: keys.Session.Reveal(),
		Expiration: keys.Ends, SignerType: credentials.SignatureV4,
	}, nil
}

// Retrieve implements credentials.Provider, for callers that do not exist here.
func (t *temporary) Retrieve() (credentials.Value, error) {
	return t.RetrieveWithCredContext(&credentials.CredContext{})
}

// IsExpired implements credentials.Provider.
func (t *temporary) IsExpired() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !time.Now().Add(early).Before(t.ends)
}
