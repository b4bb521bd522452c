package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Login is the credentials for a repository. The zero value is anonymous.
type Login struct {
	config **authn.AuthConfig // what fmt does not follow, whatever the verb
}

// NewLogin returns credentials.
func NewLogin(config authn.AuthConfig) Login {
	if config == (authn.AuthConfig{}) {
		return Login{}
	}
	p := &config
	return Login{config: &p}
}

// LoginFrom asks a keychain who may read a repository.
func LoginFrom(ctx context.Context, keychain authn.Keychain, repo Repository) (Login, error) {
	named, err := repo.name(false)
	if err != nil {
		return Login{}, err
	}
	who, err := authn.Resolve(ctx, keychain, named)
	if err != nil {
		return Login{}, err
	}
	return LoginOf(ctx, who)
}

// LoginOf asks an authenticator for what it has.
func LoginOf(ctx context.Context, who authn.Authenticator) (Login, error) {
	config, err := authn.Authorization(ctx, who)
	if err != nil {
		return Login{}, err
	}
	return NewLogin(*config), nil
}

// Anonymous reports whether there are no credentials.
func (l Login) Anonymous() bool { return l.config == nil }

// String hides the credentials.
func (l Login) String() string { return "registry login" }

// GoString hides the credentials.
func (l Login) GoString() string { return "oci.Login{…}" }

// authenticator is the login in the terms of the library.
func (l Login) authenticator() authn.Authenticator {
	if l.Anonymous() {
		return authn.Anonymous
	}
	return authn.FromConfig(**l.config)
}

// identity identifies who asks, without telling the credentials.
func (l Login) identity() string {
	if l.Anonymous() {
		return ""
	}
	c := **l.config
	h := sha256.New()
	for _, s := range []string{c.Username, c.Password, c.Auth, c.IdentityToken, c.RegistryToken} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}
