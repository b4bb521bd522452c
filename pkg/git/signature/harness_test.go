package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/git/signature"
)

// made is when the keys of tests are made, and now is when they are used.
var (
	made = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	now  = time.Date(2024, time.June, 1, 0, 0, 0, 0, time.UTC)
)

const (
	commitHeader  = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.com> 1704067200 +0000\ncommitter A <a@example.com> 1704067200 +0000\n"
	commitMessage = "\nadd app\n"
	tagPayload    = "object 1111111111111111111111111111111111111111\ntype commit\ntag v1.0.0\ntagger A <a@example.com> 1704067200 +0000\n\nfirst\n"
)

// commitWith is a commit with a signature in its header.
func commitWith(armored string) []byte {
	header := strings.ReplaceAll(strings.TrimRight(armored, "\n"), "\n", "\n ")
	return []byte(commitHeader + "gpgsig " + header + "\n" + commitMessage)
}

func tagWith(armored string) []byte { return []byte(tagPayload + armored) }

// identity is who signs with an OpenPGP key.
type identity struct {
	t      testing.TB
	entity *openpgp.Entity
}

// newIdentity makes an OpenPGP key.
func newIdentity(t testing.TB, config packet.Config) *identity {
	t.Helper()
	config.Time = func() time.Time { return made }
	config.Algorithm = packet.PubKeyAlgoEdDSA
	e, err := openpgp.NewEntity("weir", "", "weir@example.com", &config)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{t: t, entity: e}
}

func (i *identity) id() string { return i.entity.PrimaryKey.KeyIdString() }

// change does something to the key, if there is something to do.
func (i *identity) change(do func(*identity) error) {
	i.t.Helper()
	if do == nil {
		return
	}
	if err := do(i); err != nil {
		i.t.Fatal(err)
	}
}

// public is the armored public key.
func (i *identity) public() string {
	i.t.Helper()
	return i.armored(openpgp.PublicKeyType, i.entity.Serialize)
}

func (i *identity) armored(what string, write func(io.Writer) error) string {
	i.t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, what, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := write(w); err != nil {
		i.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		i.t.Fatal(err)
	}
	return out.String() + "\n"
}

// sign signs with the key that is for signing: a subkey, if there is one.
func (i *identity) sign(payload string) string {
	i.t.Helper()
	var out bytes.Buffer
	config := &packet.Config{Time: func() time.Time { return made }}
	if err := openpgp.ArmoredDetachSign(&out, i.entity, strings.NewReader(payload), config); err != nil {
		i.t.Fatal(err)
	}
	return out.String() + "\n"
}

// signSHA1 signs by a digest that nobody trusts any more.
func (i *identity) signSHA1(payload string) string {
	i.t.Helper()
	sig := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: i.entity.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA1,
		CreationTime: made, IssuerKeyId: &i.entity.PrimaryKey.KeyId,
	}
	h := crypto.SHA1.New()
	h.Write([]byte(payload))
	unsalted := false
	config := &packet.Config{NonDeterministicSignaturesViaNotation: &unsalted}
	if err := sig.Sign(h, i.entity.PrivateKey, config); err != nil {
		i.t.Fatal(err)
	}
	return i.armored(openpgp.SignatureType, sig.Serialize)
}

// sshKey is who signs with an SSH key.
type sshKey struct {
	t       testing.TB
	private crypto.Signer
	signer  ssh.Signer
}

func newSSHKey(t testing.TB) *sshKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sshKeyOf(t, key)
}

func newECDSAKey(t testing.TB) *sshKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sshKeyOf(t, key)
}

func sshKeyOf(t testing.TB, key crypto.Signer) *sshKey {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &sshKey{t: t, private: key, signer: signer}
}

func (k *sshKey) id() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// public is the line of an authorized_keys file.
func (k *sshKey) public() string { return string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())) }

func (k *sshKey) sign(payload string) string { return k.signFor("git", payload) }

func (k *sshKey) signFor(namespace, payload string) string {
	k.t.Helper()
	sig, err := sshsig.Sign(strings.NewReader(payload), k.signer, sshsig.HashSHA512, namespace)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(sshsig.Armor(sig))
}

// keys reads files that must be readable.
func keys(t testing.TB, files map[string]string) signature.Keys {
	t.Helper()
	k, err := signature.ReadKeys(raw(files))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func raw(files map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for name, content := range files {
		out[name] = []byte(content)
	}
	return out
}

// dsaKey is the line of a DSA key, of numbers that mean nothing.
func dsaKey() string {
	p := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	wire := ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", p, new(big.Int).SetBit(big.NewInt(1), 159, 1), big.NewInt(2), big.NewInt(4)})
	return "ssh-dss " + base64.StdEncoding.EncodeToString(wire) + "\n"
}
