package signature

import (
	"bytes"
	"encoding/pem"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// Whoever encrypts a key says how much it takes to decrypt it, up to terabytes and years.
// Nothing ends that once it has begun.

// maxRounds bounds the rounds in which the password of an SSH key is hashed. People who
// choose them have some hundred.
const maxRounds = 1024

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

// costlySSH reports whether to decrypt a key may take longer than anybody waits. Other forms
// than that of OpenSSH have no number of rounds.
func costlySSH(identity []byte) bool {
	const magic = "openssh-key-v1\x00"
	block, _ := pem.Decode(identity)
	if block == nil {
		return false
	}
	body, ok := bytes.CutPrefix(block.Bytes, []byte(magic))
	if !ok {
		return false
	}
	var head struct {
		Cipher, KDF string
		Options     []byte
		Rest        []byte `ssh:"rest"`
	}
	var bcrypt struct {
		Salt   []byte
		Rounds uint32
	}
	if ssh.Unmarshal(body, &head) != nil || ssh.Unmarshal(head.Options, &bcrypt) != nil {
		return true
	}
	return bcrypt.Rounds > maxRounds
}
