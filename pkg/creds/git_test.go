package creds_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/gitserver"
)

func data(pairs ...string) map[string][]byte {
	m := make(map[string][]byte)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = []byte(pairs[i+1])
	}
	return m
}

func certificate(t *testing.T) string {
	t.Helper()
	cert, err := gitserver.NewCertificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	return string(cert.CA)
}

func TestGitHTTP(t *testing.T) {
	t.Parallel()
	ca, other := certificate(t), certificate(t)
	tests := map[string]struct {
		why  string
		data map[string][]byte
		want creds.Git
	}{
		"basic":         {data: data("username", "me", "password", "pw-value"), want: creds.Git{Username: creds.Hide("me"), Password: creds.Hide("pw-value")}},
		"bearer":        {data: data("bearerToken", "token-value"), want: creds.Git{BearerToken: creds.Hide("token-value")}},
		"ca":            {data: data("ca.crt", ca), want: creds.Git{TLS: creds.TLS{CA: []byte(ca)}}},
		"ca and basic":  {data: data("ca.crt", ca, "username", "me", "password", "pw-value"), want: creds.Git{Username: creds.Hide("me"), Password: creds.Hide("pw-value"), TLS: creds.TLS{CA: []byte(ca)}}},
		"ca and bearer": {data: data("ca.crt", ca, "bearerToken", "token-value"), want: creds.Git{BearerToken: creds.Hide("token-value"), TLS: creds.TLS{CA: []byte(ca)}}},
		"legacy ca":     {why: "the name that older Secrets have", data: data("caFile", ca), want: creds.Git{TLS: creds.TLS{CA: []byte(ca), Legacy: []string{"caFile"}}}},
		"two cas":       {why: "the current name wins", data: data("caFile", other, "ca.crt", ca), want: creds.Git{TLS: creds.TLS{CA: []byte(ca)}}},
		"nothing":       {why: "a Secret may be meant for something else", data: data(), want: creds.Git{}},
		"empty values":  {why: "an empty value is none", data: data("username", "", "password", "", "bearerToken", "", "ca.crt", "", "tls.crt", "", "githubAppID", ""), want: creds.Git{}},
		"other keys":    {why: "one Secret may serve several uses", data: data("token", "x", "identity", "y", "type", "git"), want: creds.Git{}},
		"spaces":        {why: "a password may have any, so that nothing is trimmed", data: data("username", "me", "password", " pw\n"), want: creds.Git{Username: creds.Hide("me"), Password: creds.Hide(" pw\n")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := creds.GitHTTP(tc.data, "ns/name")
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("credentials (-want +got):\n%s%s", diff, tc.why)
			}
		})
	}
}

func TestGitHTTPRefuses(t *testing.T) {
	t.Parallel()
	const key = "-----BEGIN PRIVATE KEY-----\npem-value\n-----END PRIVATE KEY-----\n"
	tests := map[string]struct {
		why  string
		data map[string][]byte
		says []string
		is   error
	}{
		"user alone":        {data: data("username", "user-value"), says: []string{`"username"`, `"password"`}},
		"password alone":    {data: data("password", "pw-value"), says: []string{`"username"`, `"password"`}},
		"user and bearer":   {why: "a user name is half of another way", data: data("username", "user-value", "bearerToken", "token-value"), says: []string{`"username"`, `"password"`}},
		"both ways":         {why: "nobody can tell which is meant", data: data("username", "user-value", "password", "pw-value", "bearerToken", "token-value"), says: []string{`"bearerToken"`, `"password"`}},
		"line break":        {why: "it would end the header", data: data("bearerToken", "token-value\n"), says: []string{`"bearerToken"`, "line break"}},
		"carriage return":   {why: "it would end the header", data: data("bearerToken", "token-value\rX: y"), says: []string{`"bearerToken"`, "line break"}},
		"ca is no PEM":      {data: data("ca.crt", "ca-value"), says: []string{`"ca.crt"`, "PEM"}},
		"ca is a key":       {why: "PEM of something else trusts nobody", data: data("ca.crt", key), says: []string{`"ca.crt"`, "certificate"}},
		"client cert":       {data: data("tls.crt", "pem-value", "tls.key", "pem-value"), says: []string{`"tls.crt"`, `"tls.key"`}},
		"client key alone":  {data: data("tls.key", "pem-value"), says: []string{"client certificate"}},
		"app":               {why: "whoever has the provider of apps reads it otherwise", data: data("githubAppID", "app-value", "githubAppPrivateKey", "pem-value"), says: []string{"GitHub App"}, is: creds.ErrGitHubApp},
		"app with password": {why: "the app is meant", data: data("githubAppID", "app-value", "username", "user-value", "password", "pw-value"), says: []string{"GitHub App"}, is: creds.ErrGitHubApp},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := creds.GitHTTP(tc.data, "ns/name")
			refused(t, err, tc.data, append(tc.says, "secret 'ns/name'")...)
			if errors.Is(err, creds.ErrGitHubApp) != (tc.is != nil) {
				t.Errorf("%v is ErrGitHubApp: %v (%s)", err, tc.is == nil, tc.why)
			}
			if diff := cmp.Diff(creds.Git{}, got); diff != "" {
				t.Errorf("credentials beside an error (-want +got):\n%s", diff)
			}
		})
	}
}

// refused checks that err says certain things, and nothing of a Secret's values.
func refused(t *testing.T, err error, data map[string][]byte, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, what := range says {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q does not say %q", err, what)
		}
	}
	for key, value := range data {
		if text := strings.TrimSpace(string(value)); text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q tells the value of %q", err, key)
		}
	}
}

func TestGitSSH(t *testing.T) {
	t.Parallel()
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := key.EncryptedPEM("pass-value")
	if err != nil {
		t.Fatal(err)
	}
	plain, locked := string(key.PEM()), string(encrypted)
	known := string(gitserver.KnownHosts("127.0.0.1:22", key.Public()))
	tests := map[string]struct {
		why  string
		data map[string][]byte
		says []string // of the error; none: there is no error
	}{
		"identity":          {data: data("identity", plain, "known_hosts", known)},
		"public key beside": {data: data("identity", plain, "identity.pub", "x", "known_hosts", known)},
		"encrypted":         {data: data("identity", locked, "known_hosts", known, "password", "pass-value")},
		"needless password": {why: "does no harm", data: data("identity", plain, "known_hosts", known, "password", "pass-value")},
		"no identity":       {data: data("known_hosts", known), says: []string{"secret 'ns/name'", `"identity"`}},
		"empty identity":    {data: data("identity", "", "known_hosts", known), says: []string{`"identity"`}},
		"no known_hosts":    {why: "no host is trusted unseen", data: data("identity", plain), says: []string{"secret 'ns/name'", `"known_hosts"`}},
		"no key":            {data: data("identity", "identity-value", "known_hosts", known), says: []string{"secret 'ns/name'", `"identity"`}},
		"public key":        {data: data("identity", "ssh-ed25519 AAAA", "known_hosts", known), says: []string{`"identity"`}},
		"encrypted, no password": {
			why:  "the words are those of the API's other implementation",
			data: data("identity", locked, "known_hosts", known),
			says: []string{"SSH identity key is encrypted but no 'password' field was provided in the secret 'ns/name'"},
		},
		"encrypted, wrong password": {data: data("identity", locked, "known_hosts", known, "password", "wrong-value"), says: []string{"'password'", "'ns/name'", "does not decrypt"}},
		"encrypted in many rounds": {
			why:  "decrypting it takes as long as it says",
			data: data("identity", string(credstest.WithSSHRounds(t, encrypted, 100_000)), "known_hosts", known, "password", "pass-value"),
			says: []string{"'ns/name'", "1024 rounds"},
		},
		"no key, with password": {data: data("identity", "identity-value", "known_hosts", known, "password", "pass-value"), says: []string{`"identity"`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := creds.GitSSH(tc.data, "ns/name")
			if len(tc.says) > 0 {
				refused(t, err, tc.data, tc.says...)
				return
			}
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if string(got.SSH.Signer().PublicKey().Marshal()) != string(key.Public().Marshal()) {
				t.Error("the identity is another key")
			}
			if string(got.SSH.KnownHosts) != known {
				t.Errorf("known hosts %q, want %q", got.SSH.KnownHosts, known)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   creds.Git
		want bool
	}{
		"nothing":  {want: true},
		"trust":    {in: creds.Git{TLS: creds.TLS{CA: []byte("x")}}, want: true},
		"user":     {in: creds.Git{Username: creds.Hide("x")}},
		"password": {in: creds.Git{Password: creds.Hide("x")}},
		"bearer":   {in: creds.Git{BearerToken: creds.Hide("x")}},
		"ssh":      {in: creds.Git{SSH: &creds.SSH{}}},
		"shown":    {in: creds.Git{TLS: certified(t)}},
	}
	for name, tc := range tests {
		if got := tc.in.Anonymous(); got != tc.want {
			t.Errorf("%s: Anonymous() = %v", name, got)
		}
	}
}

// TestFingerprint: who has other credentials gets another store, so that no part of
// them may be left out, nor one part run into the next.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	signer := func() ssh.Signer {
		key, err := gitserver.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		return key.Signer()
	}
	first, second := signer(), signer()
	all := map[string]creds.Git{
		"anonymous":      {},
		"user a":         {Username: creds.Hide("a")},
		"password a":     {Password: creds.Hide("a")},
		"bearer a":       {BearerToken: creds.Hide("a")},
		"trust a":        {TLS: creds.TLS{CA: []byte("a")}},
		"user ab":        {Username: creds.Hide("ab")},
		"a, b":           {Username: creds.Hide("a"), Password: creds.Hide("b")},
		"1:a":            {Username: creds.Hide("1:a")},
		"through a":      {Proxy: proxyAt(t, "http://a.example.com", "", "")},
		"shown":          {TLS: certified(t)},
		"somebody":       {Identity: "a"},
		"somebody else":  {Identity: "b"},
		"through and as": {Identity: "a", Proxy: proxyAt(t, "http://a.example.com", "", "")},
		"ssh":            {SSH: creds.NewSSH(first, []byte("a"))},
		"ssh, other":     {SSH: creds.NewSSH(second, []byte("a"))},
		"ssh, on other":  {SSH: creds.NewSSH(first, []byte("b"))},
	}
	seen := make(map[string]string)
	for name, g := range all {
		f := g.Fingerprint()
		if other, ok := seen[f]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[f] = name
	}
	if (creds.Git{SSH: creds.NewSSH(first, []byte("a"))}).Fingerprint() != all["ssh"].Fingerprint() {
		t.Error("equal credentials have different fingerprints")
	}
}

// TestFingerprintOfShortLife: a token of an hour is not another remote each hour.
func TestFingerprintOfShortLife(t *testing.T) {
	t.Parallel()
	first := creds.Git{Username: creds.Hide("x"), Password: creds.Hide("one"), Identity: "app 1"}
	second := creds.Git{Username: creds.Hide("x"), Password: creds.Hide("two"), Identity: "app 1"}
	other := creds.Git{Username: creds.Hide("x"), Password: creds.Hide("two"), Identity: "app 2"}
	if first.Fingerprint() != second.Fingerprint() {
		t.Error("two tokens of one identity have different fingerprints")
	}
	if second.Fingerprint() == other.Fingerprint() {
		t.Error("two identities have one fingerprint")
	}
}

// certified returns settings with a certificate to show.
func certified(t *testing.T) creds.TLS {
	t.Helper()
	pair := credstest.NewAuthority(t).Issue("robot", ahead())
	shown, err := creds.NewTLS(map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key}, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	return shown
}
