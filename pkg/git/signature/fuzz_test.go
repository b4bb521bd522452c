package signature_test

import (
	"bytes"
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
