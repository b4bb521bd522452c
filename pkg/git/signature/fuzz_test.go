package signature_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"weir.dev/pkg/git/signature"
)

// What a remote sends must neither crash the reader nor pass for signed.
func FuzzVerify(f *testing.F) {
	pgp, key := newIdentity(f, packet.Config{}), newSSHKey(f)
	stranger := newIdentity(f, packet.Config{})
	trusted := keys(f, map[string]string{"a.asc": pgp.public(), "b.sshpub": key.public()})
	for _, seed := range [][]byte{
		commitWith(stranger.sign(payload)), tagWith(stranger.sign(tagPayload)),
		commitWith(newSSHKey(f).sign(payload)), tagWith(newSSHKey(f).sign(tagPayload)),
		commitWith(key.sign("something else")), tagWith(pgp.sign("something else")),
		[]byte(payload), []byte("gpgsig"), []byte("\n\n"), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		for what, split := range map[string]func([]byte) (signature.Signed, error){"commit": signature.Commit, "tag": signature.Tag} {
			s, err := split(object)
			if err != nil {
				continue
			}
			if len(s.Payload)+len(s.Signature) > len(object) {
				t.Errorf("a %s of %d bytes has %d that are signed, and a signature of %d", what, len(object), len(s.Payload), len(s.Signature))
			}
			if what == "tag" && !bytes.Equal(append(bytes.Clone(s.Payload), s.Signature...), object) {
				t.Errorf("the parts of a tag are not the tag: %q", object)
			}
			if signer, err := trusted.Verify(s, now); err == nil {
				t.Errorf("%s is found to have signed the %s %q", signer, what, object)
			}
		}
	})
}

// What a Secret holds must not crash the reader.
func FuzzReadKeys(f *testing.F) {
	pgp, key := newIdentity(f, packet.Config{}), newSSHKey(f)
	for _, seed := range []string{pgp.public(), key.public(), pgp.public() + pgp.public(), "cert-authority " + key.public(), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", ""} {
		f.Add([]byte(seed), []byte(seed))
	}
	signed := []signature.Signed{
		{Payload: []byte(payload), Signature: []byte(pgp.sign(payload))},
		{Payload: []byte(payload), Signature: []byte(key.sign(payload))},
	}
	f.Fuzz(func(t *testing.T, ring, lines []byte) {
		k, err := signature.ReadKeys(map[string][]byte{"a.asc": ring, "b.sshpub": lines})
		for _, s := range signed {
			if signer, verifyErr := k.Verify(s, now); err != nil && verifyErr == nil {
				t.Errorf("no key was read, and %s is found to have signed", signer)
			}
		}
	})
}

// FuzzSigners: what a Secret holds must not crash the reader, and what is read can sign.
func FuzzSigners(f *testing.F) {
	pgp, key := newIdentity(f, packet.Config{}), newSSHKey(f)
	f.Add([]byte(pgp.private("")), []byte(""))
	f.Add(pemOf(f, key, ""), []byte(""))
	f.Add([]byte(pgp.public()), []byte("x"))
	f.Fuzz(func(t *testing.T, key, password []byte) {
		for what, read := range map[string]func(key, password []byte) (*signature.Signer, error){"OpenPGP": signature.NewOpenPGPSigner, "SSH": signature.NewSSHSigner} {
			signer, err := read(key, password)
			switch {
			case err != nil && !errors.Is(err, signature.ErrBadKey):
				t.Errorf("%s: an error of no kind: %v", what, err)
			case err == nil && signer.ID() == "":
				t.Errorf("%s: a signer of no name", what)
			case err == nil:
				_, _ = signer.Sign(bytes.NewReader(key)) // which may fail, and not crash
			}
		}
	})
}
