package signature

import (
	"bytes"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Whoever encrypts a key says how much it takes to decrypt it, up to terabytes. Nothing ends
// that once it has begun.

// costlyPGP reports whether to decrypt a key may take more memory than there is: what
// Argon2 takes is for the key to say. GnuPG does not know it. Keys of another version than
// the one of today are not looked into.
func costlyPGP(key *packet.PrivateKey) bool {
	const version, prefix, aead, argon2 = 4, 3, 253, 4
	var public, private bytes.Buffer
	if key.Version != version || key.SerializeForHash(&public) != nil || key.Serialize(&private) != nil {
		return true
	}
	whole, err := packet.NewOpaqueReader(&private).Next()
	if err != nil || len(whole.Contents) < public.Len() {
		return true
	}
	// How it is encrypted, by which cipher, and, for some, in which mode; and then how the
	// passphrase becomes a key.
	rest, at := whole.Contents[public.Len()-prefix:], 2
	if rest[0] == aead {
		at = 3
	}
	return len(rest) <= at || rest[at] == argon2
}
