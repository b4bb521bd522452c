package signature

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

// ErrBadKey: no signer can be made of a private key. The errors tell nothing of the key or
// its password.
var ErrBadKey = errors.New("unusable private key")

// Signer signs commits by a private key. It is safe for concurrent use.
type Signer struct {
	id   string
	sign func(message io.Reader) ([]byte, error) // a closure, so that no print shows the key
}

// ID returns what Keys.Verify calls the signer.
func (s *Signer) ID() string { return s.id }

// Sign returns the armored signature of a message.
func (s *Signer) Sign(message io.Reader) ([]byte, error) { return s.sign(message) }

// String names the public half of the key.
func (s *Signer) String() string { return "signer " + s.id }

// GoString is String.
func (s *Signer) GoString() string { return s.String() }

// NewOpenPGPSigner returns a signer by an armored OpenPGP key ring that has exactly one
// key, with its private half. The passphrase is needed if that is encrypted.
func NewOpenPGPSigner(key, passphrase []byte) (*Signer, error) {
	entity, err := readPrivatePGP(key)
	if err != nil {
		return nil, err
	}
	return signerOf(entity, passphrase)
}

// NewOpenPGPRingSigner returns a signer by one of the keys of an OpenPGP key ring, armored
// or not: the one whose id, in 16 hexadecimal digits, or whose fingerprint is given, or the
// first if id is "". The passphrase is needed if it is encrypted.
func NewOpenPGPRingSigner(ring []byte, id string, passphrase []byte) (*Signer, error) {
	keys, err := readPrivateRing(ring)
	if err != nil {
		return nil, err
	}
	wanted := strings.ToUpper(strings.TrimPrefix(strings.TrimPrefix(id, "0x"), "0X"))
	var ids []string
	for _, entity := range keys {
		primary := entity.PrimaryKey
		if wanted == "" || wanted == primary.KeyIdString() || wanted == strings.ToUpper(hex.EncodeToString(primary.Fingerprint)) {
			return signerOf(entity, passphrase)
		}
		ids = append(ids, primary.KeyIdString())
	}
	return nil, fmt.Errorf("%w: the ring has no OpenPGP key %.40q, but %s", ErrBadKey, id, strings.Join(ids, ", "))
}

func signerOf(entity *openpgp.Entity, passphrase []byte) (*Signer, error) {
	signing, ok := entity.SigningKey(time.Now())
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: the OpenPGP key %s is expired, revoked, or not for signing", ErrBadKey, entity.PrimaryKey.KeyIdString())
	case signing.PrivateKey == nil || signing.PrivateKey.Dummy():
		return nil, fmt.Errorf("%w: the private half of the OpenPGP key %s is missing", ErrBadKey, signing.PublicKey.KeyIdString())
	case signing.PrivateKey.Encrypted && len(passphrase) == 0:
		return nil, fmt.Errorf("%w: the OpenPGP key is encrypted, and there is no passphrase", ErrBadKey)
	case signing.PrivateKey.Encrypted && costlyPGP(signing.PrivateKey):
		return nil, fmt.Errorf("%w: the OpenPGP key is encrypted in a way that is not supported", ErrBadKey)
	case signing.PrivateKey.Encrypted:
		if err := signing.PrivateKey.Decrypt(passphrase); err != nil {
			return nil, fmt.Errorf("%w: the passphrase does not decrypt the OpenPGP key", ErrBadKey)
		}
	}
	sign := func(message io.Reader) ([]byte, error) {
		var out bytes.Buffer
		config := &packet.Config{SigningKeyId: signing.PublicKey.KeyId}
		if err := openpgp.ArmoredDetachSign(&out, entity, message, config); err != nil {
			return nil, fmt.Errorf("signing by the OpenPGP key %s: %w", signing.PublicKey.KeyIdString(), err)
		}
		out.WriteByte('\n')
		return out.Bytes(), nil
	}
	return &Signer{id: entity.PrimaryKey.KeyIdString(), sign: sign}, nil
}

// readPrivateRing reads the keys of a ring, of which there is at least one.
func readPrivateRing(ring []byte) (openpgp.EntityList, error) {
	if len(ring) > maxFile {
		return nil, fmt.Errorf("%w: it has %d bytes, and the limit is %d", ErrBadKey, len(ring), maxFile)
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(ring), []byte("-----BEGIN ")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(ring))
	if err != nil || len(keys) == 0 {
		return nil, fmt.Errorf("%w: it is no ring of OpenPGP keys", ErrBadKey)
	}
	return keys, nil
}

// readPrivatePGP reads a key ring with one key.
func readPrivatePGP(ring []byte) (*openpgp.Entity, error) {
	if len(ring) > maxFile {
		return nil, fmt.Errorf("%w: it has %d bytes, and the limit is %d", ErrBadKey, len(ring), maxFile)
	}
	r := bufio.NewReader(bytes.NewReader(ring))
	block, err := armor.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no armored OpenPGP key", ErrBadKey)
	}
	if block.Type != openpgp.PrivateKeyType {
		return nil, fmt.Errorf("%w: it is armored as something else than an OpenPGP private key", ErrBadKey)
	}
	keys, err := openpgp.ReadKeyRing(block.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: the OpenPGP key is not readable", ErrBadKey)
	}
	if _, err := io.Copy(io.Discard, block.Body); err != nil {
		return nil, fmt.Errorf("%w: the armor of the OpenPGP key is damaged", ErrBadKey)
	}
	if _, err := armor.Decode(r); len(keys) != 1 || err == nil {
		return nil, fmt.Errorf("%w: there are several OpenPGP keys, and only one can sign", ErrBadKey)
	}
	return keys[0], nil
}

// NewSSHSigner returns a signer by an SSH key, in any PEM form that OpenSSH has used. The
// password is needed if it is encrypted.
func NewSSHSigner(identity, password []byte) (*Signer, error) {
	if len(identity) > maxFile {
		return nil, fmt.Errorf("%w: it has %d bytes, and the limit is %d", ErrBadKey, len(identity), maxFile)
	}
	key, err := ssh.ParsePrivateKey(identity)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		if len(password) == 0 {
			return nil, fmt.Errorf("%w: the SSH key is encrypted, and there is no password", ErrBadKey)
		}
		if creds.CostlySSHKey(identity) {
			return nil, fmt.Errorf("%w: the SSH key is encrypted with more than %d rounds", ErrBadKey, creds.MaxSSHRounds)
		}
		if key, err = ssh.ParsePrivateKeyWithPassphrase(identity, password); err != nil {
			return nil, fmt.Errorf("%w: the password does not decrypt the SSH key", ErrBadKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it is no private key that SSH knows", ErrBadKey)
	}
	if kind := key.PublicKey().Type(); kind == dsa {
		return nil, fmt.Errorf("%w: signatures by a key of type %s can be forged", ErrBadKey, kind)
	}
	sign := func(message io.Reader) ([]byte, error) {
		made, err := sshsig.Sign(message, key, sshsig.HashSHA512, namespace)
		if err != nil {
			return nil, fmt.Errorf("signing by the SSH key %s: %w", ssh.FingerprintSHA256(key.PublicKey()), err)
		}
		return sshsig.Armor(made), nil
	}
	return &Signer{id: ssh.FingerprintSHA256(key.PublicKey()), sign: sign}, nil
}
