package creds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
)

// Schemes of proxies.
const (
	schemeHTTP   = "http"
	schemeHTTPS  = "https"
	schemeSOCKS5 = "socks5"
)

// Proxy is what connections go through. The zero value leaves that to the environment
// of the process.
type Proxy struct {
	url *url.URL // with userinfo; behind a pointer for the reason that Hidden has
}

// NewProxy reads address, of scheme http, https or socks5, and optionally username and
// password. secret names the Secret in errors.
func NewProxy(data map[string][]byte, secret string) (Proxy, error) {
	address := string(data[keyAddress])
	if address == "" {
		return Proxy{}, fmt.Errorf("secret '%s' has no key %q, which a proxy needs", secret, keyAddress)
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		// The reason of net/url may quote a password.
		return Proxy{}, fmt.Errorf("secret '%s': the value of %q is no URL of a proxy", secret, keyAddress)
	}
	switch u.Scheme {
	case schemeHTTP, schemeHTTPS, schemeSOCKS5:
	default:
		return Proxy{}, fmt.Errorf("secret '%s': the scheme of the value of %q is none of http, https and socks5", secret, keyAddress)
	}
	u = &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}
	user, password := string(data[keyUsername]), string(data[keyPassword])
	switch {
	case user == "" && password != "":
		return Proxy{}, fmt.Errorf("secret '%s': the key %q has a value, and the key %q has none", secret, keyPassword, keyUsername)
	case user != "":
		u.User = url.UserPassword(user, password)
	}
	return Proxy{url: u}, nil
}

// Empty reports whether no proxy is named.
func (p Proxy) Empty() bool { return p.url == nil }

// URL returns the address with user name and password, for libraries that take it; nil
// if p is empty.
func (p Proxy) URL() *url.URL {
	if p.url == nil {
		return nil
	}
	u := *p.url
	return &u
}

// HTTP returns the proxy of a request, as http.Transport.Proxy asks for it.
func (p Proxy) HTTP(req *http.Request) (*url.URL, error) {
	if p.url == nil {
		return http.ProxyFromEnvironment(req)
	}
	return p.URL(), nil
}

// Fingerprint identifies the proxy, and who uses it, without telling: equal for equal
// values.
func (p Proxy) Fingerprint() string {
	if p.url == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(p.url.String()))
	return hex.EncodeToString(sum[:])
}

// Equal reports whether both are the same proxy, used by the same user.
func (p Proxy) Equal(other Proxy) bool { return p.Fingerprint() == other.Fingerprint() }

// String returns the address without user name and password.
func (p Proxy) String() string {
	if p.url == nil {
		return "no proxy"
	}
	return p.url.Scheme + "://" + p.url.Host
}

// GoString is String: what else a Proxy has is nobody's to see.
func (p Proxy) GoString() string { return p.String() }
