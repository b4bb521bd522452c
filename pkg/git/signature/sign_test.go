package signature_test

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // to see that it is refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/git/signature"
)

// private is the armored private key, encrypted if there is a passphrase.
func (i *identity) private(passphrase string) string {
	i.t.Helper()
	if passphrase != "" {
		if err := i.entity.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			i.t.Fatal(err)
		}
	}
	return i.armored(openpgp.PrivateKeyType, func(w io.Writer) error { return i.entity.SerializePrivateWithoutSigning(w, nil) })
}

// signs checks that a signer makes signatures that Verify finds good, by the name that it
// has for itself.
func signs(t *testing.T, signer *signature.Signer, trusted signature.Keys, want string) {
	t.Helper()
	made, err := signer.Sign(strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	commit, err := signature.Commit(commitWith(string(made)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trusted.Verify(commit, time.Now()); err != nil || got != want || signer.ID() != want {
		t.Errorf("the signature by %q is found to be by %q, %v; want %q", signer.ID(), got, err, want)
	}
	commit.Payload = append(commit.Payload, "more"...)
	if got, err := trusted.Verify(commit, time.Now()); err == nil {
		t.Errorf("a commit that was changed is signed by %q", got)
	}
}

func TestSignByOpenPGP(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		key    func(t *testing.T) *identity
		stored string // the passphrase that the key is encrypted with
		given  string
	}{
		"plain":             {},
		"encrypted":         {stored: "pass-value", given: "pass-value"},
		"passphrase unused": {why: "a passphrase beside a key that needs none does no harm", given: "pass-value"},
		"by a subkey": {key: func(t *testing.T) *identity {
			t.Helper()
			i := newIdentity(t, packet.Config{})
			i.change(func(i *identity) error {
				return i.entity.AddSigningSubkey(&packet.Config{Time: func() time.Time { return made }})
			})
			return i
		}},
		"by a subkey, encrypted": {stored: "pass-value", given: "pass-value", key: func(t *testing.T) *identity {
			t.Helper()
			i := newIdentity(t, packet.Config{})
			i.change(func(i *identity) error {
				return i.entity.AddSigningSubkey(&packet.Config{Time: func() time.Time { return made }})
			})
			return i
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newIdentity(t, packet.Config{})
			if tc.key != nil {
				key = tc.key(t)
			}
			public := key.public()
			signer, err := signature.NewOpenPGPSigner([]byte(key.private(tc.stored)), []byte(tc.given))
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			signs(t, signer, keys(t, map[string]string{"a.asc": public}), key.id())
		})
	}
}

// TestSignByRing: of the keys of a ring, the one that is named signs, and the first if none is.
func TestSignByRing(t *testing.T) {
	t.Parallel()
	one, two := newIdentity(t, packet.Config{}), newIdentity(t, packet.Config{})
	binary := func(all ...*identity) string {
		var out strings.Builder
		for _, i := range all {
			i.change(func(i *identity) error { return i.entity.SerializePrivateWithoutSigning(&out, nil) })
		}
		return out.String()
	}
	armored := one.armored(openpgp.PrivateKeyType, func(w io.Writer) error {
		_, err := io.WriteString(w, binary(one, two))
		return err
	})
	tests := map[string]struct {
		why      string
		ring, id string
		want     *identity // nil: none
	}{
		"the first":             {why: "nobody has said which", ring: armored, want: one},
		"by its id":             {why: "it is meant", ring: armored, id: two.id(), want: two},
		"by its id, as gpg has": {why: "people copy that", ring: armored, id: "0x" + strings.ToLower(two.id()), want: two},
		"by its fingerprint":    {why: "people copy that, too", ring: armored, id: fmt.Sprintf("%X", two.entity.PrimaryKey.Fingerprint), want: two},
		"not armored":           {why: "gpg --export-secret-keys does that", ring: binary(one, two), id: two.id(), want: two},
		"alone":                 {why: "most rings have one", ring: one.private(""), want: one},
		"of another ring":       {why: "no other signs in its place", ring: binary(one), id: two.id()},
		"half an id":            {why: "it may be that of several", ring: armored, id: two.id()[8:]},
		"no ring":               {why: "there is no key", ring: "nothing"},
		"empty":                 {why: "there is no key", ring: ""},
	}
	for name, tc := range tests {
		signer, err := signature.NewOpenPGPRingSigner([]byte(tc.ring), tc.id, nil)
		if tc.want == nil {
			if !errors.Is(err, signature.ErrBadKey) {
				t.Errorf("%s: %v, want ErrBadKey (%s)", name, err, tc.why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v (%s)", name, err, tc.why)
			continue
		}
		signs(t, signer, keys(t, map[string]string{"one.asc": one.public(), "two.asc": two.public()}), tc.want.id())
	}
}

func TestOpenPGPKeysThatCannotSign(t *testing.T) {
	t.Parallel()
	one, other := newIdentity(t, packet.Config{}), newIdentity(t, packet.Config{})
	expired := newIdentity(t, packet.Config{KeyLifetimeSecs: 60})
	revoked := newIdentity(t, packet.Config{})
	revoked.change(func(i *identity) error {
		return i.entity.RevokeKey(packet.KeyRetired, "old", &packet.Config{Time: func() time.Time { return made }})
	})
	locked, greedy := newIdentity(t, packet.Config{}), newIdentity(t, packet.Config{})
	greedy.change(func(i *identity) error {
		return i.entity.EncryptPrivateKeys([]byte("pass-value"), &packet.Config{
			S2KConfig: &s2k.Config{S2KMode: s2k.Argon2S2K, Argon2Config: &s2k.Argon2Config{Memory: 64}}, AEADConfig: &packet.AEADConfig{},
		})
	})
	tests := map[string]struct {
		why        string
		key        string
		passphrase string
		says       string
	}{
		"no passphrase":    {key: locked.private("pass-value"), says: "no passphrase"},
		"wrong passphrase": {key: locked.private(""), passphrase: "other-value", says: "does not decrypt"},
		"Argon2":           {why: "it takes as much memory as it says", key: greedy.private(""), passphrase: "pass-value", says: "not supported"},
		"public":           {why: "that is what people have at hand", key: one.public(), says: "private key"},
		"two":              {why: "which of them is meant?", key: one.private("") + other.private(""), says: "several"},
		"expired":          {key: expired.private(""), says: "expired"},
		"revoked":          {key: revoked.private(""), says: "revoked"},
		"nothing":          {key: "", says: "no armored"},
		"an SSH key":       {key: string(pemOf(t, newSSHKey(t), "")), says: "no armored"},
		"garbage":          {key: "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nsecret-value\n-----END PGP PRIVATE KEY BLOCK-----\n", says: "OpenPGP key"},
		"too large":        {key: strings.Repeat("secret-value", 100_000), says: "limit"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.NewOpenPGPSigner([]byte(tc.key), []byte(tc.passphrase))
			refused(t, err, tc.says, tc.why)
		})
	}
	both := one.armored(openpgp.PrivateKeyType, func(w io.Writer) error {
		return errors.Join(one.entity.SerializePrivateWithoutSigning(w, nil), other.entity.SerializePrivateWithoutSigning(w, nil))
	})
	_, err := signature.NewOpenPGPSigner([]byte(both), nil)
	refused(t, err, "several", "a ring may hold two in one armor")
}

func refused(t *testing.T, err error, says, why string) {
	t.Helper()
	if !errors.Is(err, signature.ErrBadKey) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "-value") {
		t.Errorf("%v, want %v, that it says %q, and no secret (%s)", err, signature.ErrBadKey, says, why)
	}
}

// pemOf is an SSH key of a test as OpenSSH stores it.
func pemOf(t testing.TB, key *sshKey, password string) []byte {
	t.Helper()
	return pemOfKey(t, key.private, password)
}

func pemOfKey(t testing.TB, key crypto.PrivateKey, password string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if password != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(password))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestSignBySSH(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rs)})
	tests := map[string]struct {
		why      string
		key      crypto.Signer
		identity []byte
		password string
		format   string
	}{
		"ed25519":           {key: ed, identity: pemOfKey(t, ed, ""), format: ssh.KeyAlgoED25519},
		"ECDSA":             {key: ec, identity: pemOfKey(t, ec, ""), format: ssh.KeyAlgoECDSA384},
		"RSA":               {why: "by SHA-1, as ssh-rsa means, nobody would take it", key: rs, identity: pemOfKey(t, rs, ""), format: ssh.KeyAlgoRSASHA512},
		"an old form":       {key: rs, identity: old, format: ssh.KeyAlgoRSASHA512},
		"encrypted":         {key: ed, identity: pemOfKey(t, ed, "pass-value"), password: "pass-value", format: ssh.KeyAlgoED25519},
		"password unused":   {key: ed, identity: pemOfKey(t, ed, ""), password: "pass-value", format: ssh.KeyAlgoED25519},
		"lines around it":   {key: ed, identity: append([]byte("\n\n"), pemOfKey(t, ed, "")...), format: ssh.KeyAlgoED25519},
		"encrypted RSA":     {key: rs, identity: pemOfKey(t, rs, "pass-value"), password: "pass-value", format: ssh.KeyAlgoRSASHA512},
		"a PKCS #8 ed25519": {key: ed, identity: pkcs8(t, ed), format: ssh.KeyAlgoED25519},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := signature.NewSSHSigner(tc.identity, []byte(tc.password))
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			public := sshKeyOf(t, tc.key)
			signs(t, signer, keys(t, map[string]string{"a.sshpub": public.public()}), public.id())
			made, err := signer.Sign(strings.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := sshsig.Unarmor(made)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.HashAlgorithm != sshsig.HashSHA512 || parsed.Namespace != "git" || parsed.Signature.Format != tc.format {
				t.Errorf("signed by %s and %s for %q, want %s and sha512 for git (%s)", parsed.Signature.Format, parsed.HashAlgorithm, parsed.Namespace, tc.format, tc.why)
			}
		})
	}
}

func pkcs8(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestSSHKeysThatCannotSign(t *testing.T) {
	t.Parallel()
	key := newSSHKey(t)
	tests := map[string]struct {
		why                string
		identity, password string
		says               string
	}{
		"no password":    {identity: string(pemOf(t, key, "pass-value")), says: "no password"},
		"wrong password": {identity: string(pemOf(t, key, "pass-value")), password: "other-value", says: "does not decrypt"},
		"many rounds":    {why: "it takes as long as it says", identity: string(credstest.WithSSHRounds(t, pemOf(t, key, "pass-value"), 100_000)), password: "pass-value", says: "rounds"},
		"public":         {identity: key.public(), says: "no private key"},
		"nothing":        {says: "no private key"},
		"garbage":        {identity: "secret-value", says: "no private key"},
		"DSA":            {why: "1024 bits and SHA-1", identity: string(dsaPEM(t)), says: "forged"},
		"too large":      {identity: strings.Repeat("secret-value", 100_000), says: "limit"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.NewSSHSigner([]byte(tc.identity), []byte(tc.password))
			refused(t, err, tc.says, tc.why)
		})
	}
}

// dsaPEM is a DSA key, of numbers that mean nothing.
func dsaPEM(t testing.TB) []byte {
	t.Helper()
	p := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	key := dsa.PrivateKey{X: big.NewInt(3)}
	key.P, key.Q, key.G, key.Y = p, new(big.Int).SetBit(big.NewInt(1), 159, 1), big.NewInt(2), big.NewInt(8)
	der, err := asn1.Marshal(struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}{0, key.P, key.Q, key.G, key.Y, key.X})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: der})
}

// TestSignersShowNoKey: what is printed by accident tells nothing.
func TestSignersShowNoKey(t *testing.T) {
	t.Parallel()
	key := newSSHKey(t)
	signer, err := signature.NewSSHSigner(pemOf(t, key, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	seed := key.private.(ed25519.PrivateKey).Seed()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, what := range []any{signer, struct{ s *signature.Signer }{signer}} {
			printed := fmt.Sprintf(verb, what)
			if strings.Contains(printed, fmt.Sprintf("%x", seed)) || strings.Contains(printed, strings.Trim(fmt.Sprintf("%d", seed), "[]")) {
				t.Errorf("%s shows the key: %s", verb, printed)
			}
		}
	}
}

// TestGitVerifiesWhatIsSigned: git itself, by the programs that people verify with, finds
// the signatures good.
func TestGitVerifiesWhatIsSigned(t *testing.T) {
	t.Parallel()
	rs, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(t *testing.T, g *gitCommand) *signature.Signer{
		"by OpenPGP": func(t *testing.T, g *gitCommand) *signature.Signer {
			t.Helper()
			key := newIdentity(t, packet.Config{})
			g.write("public.asc", key.public())
			if _, err := g.try("gpg", "--batch", "--import", "public.asc"); err != nil {
				t.Skipf("gpg imports no key here, where the path of its home may be too long: %v", err)
			}
			signer, err := signature.NewOpenPGPSigner([]byte(key.private("")), nil)
			if err != nil {
				t.Fatal(err)
			}
			return signer
		},
		"by SSH": func(t *testing.T, g *gitCommand) *signature.Signer {
			t.Helper()
			return g.trustSSH(newSSHKey(t))
		},
		"by SSH and RSA": func(t *testing.T, g *gitCommand) *signature.Signer {
			t.Helper()
			return g.trustSSH(sshKeyOf(t, rs))
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGitCommand(t)
			g.run("git", "init", "-q", "-b", "main")
			signer := prepare(t, g)
			tree := strings.TrimSpace(g.run("git", "write-tree"))
			payload := "tree " + tree + commitHeader[strings.Index(commitHeader, "\n"):] + commitMessage
			made, err := signer.Sign(strings.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			for what, message := range map[string]string{"as it was signed": commitMessage, "changed": "\nadd more\n"} {
				header := "gpgsig " + strings.ReplaceAll(strings.TrimRight(string(made), "\n"), "\n", "\n ") + "\n"
				g.write("commit", "tree "+tree+commitHeader[strings.Index(commitHeader, "\n"):]+header+message)
				rev := strings.TrimSpace(g.run("git", "hash-object", "-t", "commit", "-w", "commit"))
				out, err := g.try("git", "verify-commit", "-v", rev)
				if good := message == commitMessage; (err == nil) != good {
					t.Errorf("%s: git says %v, %s; want success to be %t", what, err, out, good)
				}
			}
		})
	}
}

// trustSSH makes git trust a key, and returns a signer by it.
func (g *gitCommand) trustSSH(key *sshKey) *signature.Signer {
	g.t.Helper()
	g.write("allowed", "a@example.com namespaces=\"git\" "+key.public())
	g.run("git", "config", "gpg.ssh.allowedSignersFile", filepath.Join(g.dir, "allowed"))
	signer, err := signature.NewSSHSigner(pemOf(g.t, key, ""), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return signer
}

func (g *gitCommand) write(name, content string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}
