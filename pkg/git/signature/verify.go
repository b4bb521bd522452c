package signature

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// namespace is what Git signs for, so that the signature of a file is none of a commit.
const namespace = "git"

// kind is the format of a signature.
type kind int

const (
	noKind kind = iota
	openPGP
	openPGPMessage
	secureShell
	sMIME
)

// kindOf tells the kind of a signature by its first line.
func kindOf(armored []byte) kind {
	for line, kind := range map[string]kind{
		"-----BEGIN PGP SIGNATURE-----":  openPGP,
		"-----BEGIN PGP MESSAGE-----":    openPGPMessage,
		"-----BEGIN SSH SIGNATURE-----":  secureShell,
		"-----BEGIN SIGNED MESSAGE-----": sMIME,
	} {
		if bytes.HasPrefix(armored, []byte(line)) {
			return kind
		}
	}
	return noKind
}

// Verify returns who has signed: the id of an OpenPGP key, which is that of the primary
// key if a subkey has signed, or the fingerprint of an SSH key. Keys that are expired or
// revoked at the given time do not count, whenever they signed.
func (k Keys) Verify(s Signed, now time.Time) (signer string, err error) {
	switch kindOf(s.Signature) {
	case openPGP:
		signer, err = k.verifyPGP(s, now)
	case secureShell:
		signer, err = k.verifySSH(s)
	case sMIME:
		return "", fmt.Errorf("%w: S/MIME; OpenPGP and SSH signatures are verified", ErrUnsupported)
	default:
		if len(bytes.TrimSpace(s.Signature)) == 0 {
			return "", ErrUnsigned
		}
		return "", fmt.Errorf("%w: it is neither an OpenPGP nor an SSH signature", ErrUnsupported)
	}
	if errors.Is(err, ErrUntrusted) {
		// Maybe the key is in one that could not be read.
		err = errors.Join(append([]error{err}, k.unreadable...)...)
	}
	return signer, err
}

// verifyPGP verifies an OpenPGP signature.
func (k Keys) verifyPGP(s Signed, now time.Time) (string, error) {
	block, err := armor.Decode(bytes.NewReader(s.Signature))
	if err != nil {
		return "", fmt.Errorf("%w: its OpenPGP signature cannot be read: %w", ErrMalformed, err)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	made, signer, err := openpgp.VerifyDetachedSignature(k.pgp, bytes.NewReader(s.Payload), block.Body, config)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if config.RejectMessageHashAlgorithm(made.Hash) { // which the library leaves to us
		return "", fmt.Errorf("%w: it is made by the digest %s, which can be forged", ErrUntrusted, made.Hash)
	}
	return signer.PrimaryKey.KeyIdString(), nil
}

// verifySSH verifies an SSH signature.
func (k Keys) verifySSH(s Signed) (string, error) {
	parsed, err := sshsig.Unarmor(s.Signature)
	if err != nil {
		return "", fmt.Errorf("%w: its SSH signature cannot be read: %w", ErrMalformed, err)
	}
	key, ok := k.ssh[string(parsed.PublicKey.Marshal())]
	if !ok {
		return "", fmt.Errorf("%w: it is by the SSH key %s", ErrUntrusted, ssh.FingerprintSHA256(parsed.PublicKey))
	}
	if err := sshsig.Verify(bytes.NewReader(s.Payload), parsed, key, parsed.HashAlgorithm, namespace); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return ssh.FingerprintSHA256(key), nil
}
