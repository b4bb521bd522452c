// Package registry turns Secrets of container registries into what
// go-containerregistry asks for credentials. It reads no Secret itself, and its errors
// tell nothing of their values.
package registry

import (
	"encoding/json"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"weir.dev/pkg/creds"
)

// Keys of the data of Secrets of type kubernetes.io/dockerconfigjson, and of the older
// kubernetes.io/dockercfg.
const (
	keyConfig = ".dockerconfigjson"
	keyLegacy = ".dockercfg"
)

// Config is the credentials of one Secret. It prints nothing of them.
type Config struct {
	entries func() []entry // which fmt does not follow, as it does a pointer to a struct
}

// entry is what to say to registries that fit.
type entry struct {
	host, port, path string // host may have stars
	auth             authn.AuthConfig
}

// Parse reads the data of a Secret of type kubernetes.io/dockerconfigjson. secret names
// the Secret in errors.
func Parse(data map[string][]byte, secret string) (Config, error) {
	key, auths := keyConfig, make(map[string]authn.AuthConfig)
	var err error
	switch {
	case len(data[keyConfig]) > 0:
		config := struct {
			Auths map[string]authn.AuthConfig `json:"auths"`
		}{Auths: auths}
		err = json.Unmarshal(data[keyConfig], &config)
		auths = config.Auths
	case len(data[keyLegacy]) > 0:
		key = keyLegacy
		err = json.Unmarshal(data[keyLegacy], &auths)
	default:
		return Config{}, fmt.Errorf("secret '%s' has no key %q: its type has to be kubernetes.io/dockerconfigjson", secret, keyConfig)
	}
	if err != nil {
		// The reason of encoding/json may quote a value.
		return Config{}, fmt.Errorf("secret '%s': the value of %q is no Docker configuration", secret, key)
	}
	entries := make([]entry, 0, len(auths))
	for server, auth := range auths {
		entries = append(entries, newEntry(server, auth))
	}
	slices.SortFunc(entries, moreSpecific)
	return newConfig(entries), nil
}

// ForHost returns credentials for one registry, by user name and password, as HTTP
// knows them. The host may have a port.
func ForHost(host string, login creds.Basic) Config {
	auth := authn.AuthConfig{Username: login.Username.Reveal(), Password: login.Password.Reveal()}
	return newConfig([]entry{newEntry(host, auth)})
}

func newConfig(entries []entry) Config { return Config{entries: func() []entry { return entries }} }

// newEntry reads what a Docker configuration has for the name of a registry: a host, or
// a URL, with or without a port and a path.
func newEntry(server string, auth authn.AuthConfig) entry {
	if _, rest, ok := strings.Cut(server, "://"); ok {
		server = rest
	}
	host, below, _ := strings.Cut(server, "/")
	// Docker's own paths name the protocol, not a part of the registry.
	below = strings.Trim(below, "/")
	if below == "v1" || below == "v2" {
		below = ""
	}
	e := entry{path: below, auth: auth}
	e.host, e.port = splitPort(host)
	if e.host == "docker.io" || e.host == "registry-1.docker.io" {
		e.host = name.DefaultRegistry
	}
	return e
}

// splitPort splits a host from its port, if it has one.
func splitPort(hostport string) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]"), ""
	}
	return host, port
}

// moreSpecific puts longer paths and hosts without stars first.
func moreSpecific(a, b entry) int {
	if n := len(b.path) - len(a.path); n != 0 {
		return n
	}
	if n := strings.Count(a.host, "*") - strings.Count(b.host, "*"); n != 0 {
		return n
	}
	if n := len(b.port) - len(a.port); n != 0 {
		return n
	}
	return strings.Compare(a.host, b.host)
}

// fits reports whether e is for a repository, or for a registry if below is empty.
func (e entry) fits(host, port, below string) bool {
	if e.port != "" && e.port != port {
		return false
	}
	if e.path != "" && e.path != below && !strings.HasPrefix(below, e.path+"/") {
		return false
	}
	// A star stands for one label, or a part of one.
	pattern, labels := strings.Split(e.host, "."), strings.Split(host, ".")
	if len(pattern) != len(labels) {
		return false
	}
	for i := range pattern {
		if ok, err := path.Match(pattern[i], labels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// String hides the credentials.
func (c Config) String() string { return "registry credentials" }

// GoString hides the credentials.
func (c Config) GoString() string { return "registry.Config{…}" }

// Keychain looks for credentials in several Secrets, the first that fits first. What
// fits none is asked anonymously.
type Keychain []Config

// Resolve implements authn.Keychain.
func (k Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	host, port := splitPort(target.RegistryStr())
	below := strings.Trim(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	if repository, _, ok := strings.Cut(below, "@"); ok {
		below = repository
	}
	for _, config := range k {
		if config.entries == nil {
			continue
		}
		for _, e := range config.entries() {
			if e.fits(host, port, below) && e.auth != (authn.AuthConfig{}) {
				return authn.FromConfig(e.auth), nil
			}
		}
	}
	return authn.Anonymous, nil
}

// Anonymous reports whether there are no credentials for a target.
func (k Keychain) Anonymous(target authn.Resource) bool {
	auth, err := k.Resolve(target)
	return err == nil && auth == authn.Anonymous
}
