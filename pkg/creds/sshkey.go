package creds

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/ssh"
)

// MaxSSHRounds bounds the rounds in which the password of an SSH key is hashed. People who
// choose them have some hundred.
const MaxSSHRounds = 1024

// CostlySSHKey reports whether to decrypt a key may take longer than anybody waits: it has
// more than MaxSSHRounds, up to years of them, and nothing ends that once it has begun.
// Other forms than that of OpenSSH have no number of rounds.
func CostlySSHKey(identity []byte) bool {
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
	if ssh.Unmarshal(body, &head) != nil {
		return true
	}
	if head.KDF == "none" {
		return false
	}
	if ssh.Unmarshal(head.Options, &bcrypt) != nil {
		return true
	}
	return bcrypt.Rounds > MaxSSHRounds
}
