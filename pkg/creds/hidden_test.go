package creds_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
)

// TestNothingIsPrinted: credentials are in structs that end up in logs, whole.
func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pair := credstest.NewAuthority(t).Issue("robot", ahead())
	scalar, err := pair.TLS(t).PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := creds.NewTLS(map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key}, "x")
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := creds.NewProxy(data("address", "http://x.example.com", "username", "user-value", "password", "pw-value"), "x")
	if err != nil {
		t.Fatal(err)
	}
	g := creds.Git{
		TLS:         shown,
		Proxy:       proxy,
		Username:    creds.Hide("user-value"),
		Password:    creds.Hide("pw-value"),
		BearerToken: creds.Hide("token-value"),
		SSH:         creds.NewSSH(signer, []byte("host key")),
	}
	type nested struct {
		Exported creds.Git
		hidden   creds.Git
		pointer  *creds.Git
		ssh      creds.SSH
		list     []creds.Git
		byName   map[string]creds.Git
		any      any
	}
	n := nested{Exported: g, hidden: g, pointer: &g, ssh: *g.SSH, list: []creds.Git{g}, byName: map[string]creds.Git{"x": g}, any: g}
	printed := map[string]any{
		"Git": g, "*Git": &g, "SSH": *g.SSH, "*SSH": g.SSH, "Hidden": g.Password, "*Hidden": &g.Password,
		"TLS": shown, "*TLS": &shown, "Proxy": proxy, "*Proxy": &proxy, "Basic": creds.Basic{Username: g.Username, Password: g.Password},
		"nested": n, "*nested": &n, "slice": []any{g, *g.SSH, g.Password},
	}
	secrets := map[string]string{"user": "user-value", "password": "pw-value", "token": "token-value"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		// The beginning of the key in the form in which the verb prints bytes.
		key := strings.Trim(fmt.Sprintf(verb, []byte(private[:8])), "[]{}\"")
		key = strings.TrimPrefix(key, "byte{")
		secrets["key by "+verb] = key
		key = strings.Trim(fmt.Sprintf(verb, scalar[:8]), "[]{}\"")
		secrets["TLS key by "+verb] = strings.TrimPrefix(key, "byte{")
		for name, hex := range map[string]string{"user-value": "757365722d76616c7565", "pw-value": "70772d76616c7565"} {
			secrets["hex of "+name] = hex
		}
	}
	for name, what := range printed {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			never(t, name+" by "+verb, fmt.Sprintf(verb, what), secrets)
		}
	}
	for _, what := range []any{g, n, g.Password} {
		if out, err := json.Marshal(what); err == nil { // a Signer has no JSON, which is as good
			never(t, "JSON", string(out), secrets)
		}
	}
}

func never(t *testing.T, how, printed string, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		if strings.Contains(printed, secret) {
			t.Errorf("%s tells the %s: %s", how, name, printed)
		}
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	text := creds.Hide("text")
	if got := text.Reveal(); got != "text" {
		t.Errorf("Reveal() = %q", got)
	}
	if text.Empty() || !text.Equal(creds.Hide("text")) || text.Equal(creds.Hide("other")) || text.Equal(creds.Hidden{}) {
		t.Error("it is not equal to its like alone")
	}
	var zero creds.Hidden
	if !zero.Empty() || !creds.Hide("").Empty() || zero.Reveal() != "" || !zero.Equal(creds.Hide("")) {
		t.Error("the zero value is not empty")
	}
}
