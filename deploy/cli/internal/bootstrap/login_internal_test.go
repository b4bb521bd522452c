package bootstrap

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

// made is a private key of some kind.
func made(t testing.TB, k KeyOptions) []byte {
	t.Helper()
	key, err := k.generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// known has any line do, and a host of none be asked.
func known(have []byte) ([]byte, error) {
	if len(have) > 0 {
		return have, nil
	}
	return []byte("example.com ssh-ed25519 AAAA\n"), nil
}

func TestKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options KeyOptions
		kind    string
	}{
		"any":     {KeyOptions{}, ssh.KeyAlgoECDSA384},
		"ecdsa":   {KeyOptions{Algorithm: ECDSA, Bits: 2048, Curve: "p384"}, ssh.KeyAlgoECDSA384},
		"p256":    {KeyOptions{Curve: "p256"}, ssh.KeyAlgoECDSA256},
		"p521":    {KeyOptions{Algorithm: ECDSA, Curve: "p521"}, ssh.KeyAlgoECDSA521},
		"ed25519": {KeyOptions{Algorithm: Ed25519}, ssh.KeyAlgoED25519},
		"rsa":     {KeyOptions{Algorithm: RSA}, ssh.KeyAlgoRSA},
	}
	for name, tc := range tests {
		public, err := publicKey(made(t, tc.options), "")
		if err != nil || public.Type() != tc.kind || !tc.options.fits(public) {
			t.Errorf("%s: a key of kind %v, %v", name, public, err)
		}
		if other := (KeyOptions{Algorithm: RSA, Bits: 4096}); other.fits(public) {
			t.Errorf("%s: fits an RSA key of 4096 bits", name)
		}
	}
	for name, bad := range map[string]KeyOptions{"dsa": {Algorithm: "dsa"}, "short": {Bits: 1024}, "odd": {Bits: 2049}, "p128": {Curve: "p128"}} {
		if bad.Validate() == nil {
			t.Errorf("%s: there is such a key", name)
		}
	}
}

func TestLoginData(t *testing.T) {
	t.Parallel()
	key, own := made(t, KeyOptions{}), made(t, KeyOptions{Algorithm: Ed25519})
	public := func(key []byte) []byte {
		p, err := publicKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		return ssh.MarshalAuthorizedKey(p)
	}
	whole := map[string][]byte{keyIdentity: key, keyPublic: public(key), keyKnownHosts: []byte("known")}
	with := func(edits ...string) map[string][]byte {
		out := maps.Clone(whole)
		for i := 0; i < len(edits); i += 2 {
			out[edits[i]] = []byte(edits[i+1])
		}
		return out
	}
	tests := map[string]struct {
		why   string
		login Login
		have  map[string][]byte
		want  map[string][]byte // nil: it stays; one of no identity has any
	}{
		"a key is there":                 {why: "it is in use", login: Login{SSH: true}, have: whole},
		"beside others' keys":            {why: "they are not ours", login: Login{SSH: true}, have: with("note", "x")},
		"the public part is missing":     {why: "it was made by somebody else", login: Login{SSH: true}, have: with(keyPublic, ""), want: whole},
		"a key is given":                 {why: "it replaces the other", login: Login{SSH: true, Identity: own}, have: whole, want: map[string][]byte{keyIdentity: own, keyPublic: public(own), keyKnownHosts: []byte("known")}},
		"the key that is there is given": {why: "it is the same", login: Login{SSH: true, Identity: key}, have: whole},
		"a password was there":           {why: "a token before, a key now", login: Login{SSH: true, Identity: own}, have: map[string][]byte{keyUsername: []byte("u"), keyPassword: []byte("p")}, want: map[string][]byte{keyIdentity: own, keyPublic: public(own), keyKnownHosts: []byte("example.com ssh-ed25519 AAAA\n")}},
		"a password":                     {why: "it is written", login: Login{Username: creds.Hide("git"), Password: creds.Hide("p")}, have: nil, want: map[string][]byte{keyUsername: []byte("git"), keyPassword: []byte("p")}},
		"the same password":              {why: "nothing is to be done", login: Login{Username: creds.Hide("git"), Password: creds.Hide("p")}, have: map[string][]byte{keyUsername: []byte("git"), keyPassword: []byte("p")}},
		"no password is given":           {why: "the one that is there is in use", login: Login{}, have: map[string][]byte{keyPassword: []byte("p")}},
		"an authority stays":             {why: "nobody has said that it goes", login: Login{Username: creds.Hide("git"), Password: creds.Hide("q")}, have: map[string][]byte{keyUsername: []byte("git"), keyPassword: []byte("p"), keyCA: []byte("ca")}, want: map[string][]byte{keyUsername: []byte("git"), keyPassword: []byte("q"), keyCA: []byte("ca")}},
		"a bearer token":                 {why: "it goes without a password", login: Login{Bearer: creds.Hide("b"), CA: []byte("ca")}, have: map[string][]byte{keyPassword: []byte("p")}, want: map[string][]byte{keyBearerToken: []byte("b"), keyCA: []byte("ca")}},
	}
	for name, tc := range tests {
		got, err := tc.login.Secret(tc.have, known)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", name, tc.why, diff)
		}
	}
	fresh, err := Login{SSH: true}.Secret(nil, known)
	if got := slices.Sorted(maps.Keys(fresh)); err != nil || !slices.Equal(got, []string{keyIdentity, keyPublic, keyKnownHosts}) {
		t.Errorf("a new Secret has %q, %v", got, err)
	}
}

func TestLoginDataFails(t *testing.T) {
	t.Parallel()
	lost := errors.New("nobody there")
	tests := map[string]struct {
		login Login
		says  string
	}{
		"no password":  {Login{}, "there is none"},
		"no key":       {Login{SSH: true, Identity: []byte("-----BEGIN s3cret")}, "no private key"},
		"no host keys": {Login{SSH: true}, "nobody there"},
	}
	for name, tc := range tests {
		data, err := tc.login.Secret(nil, func([]byte) ([]byte, error) { return nil, lost })
		if err == nil || data != nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want what says %q", name, err, tc.says)
		}
	}
}
