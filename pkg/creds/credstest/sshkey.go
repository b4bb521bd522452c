package credstest

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"testing"
)

// WithSSHRounds says of an encrypted key that its password is hashed so many times.
func WithSSHRounds(t testing.TB, identity []byte, rounds uint32) []byte {
	t.Helper()
	block, _ := pem.Decode(identity)
	at := bytes.Index(block.Bytes, []byte("bcrypt\x00\x00\x00\x18\x00\x00\x00\x10"))
	if at < 0 {
		t.Fatal("the key is encrypted in another way")
	}
	const salt = 16
	binary.BigEndian.PutUint32(block.Bytes[at+len("bcrypt")+8+salt:], rounds)
	return pem.EncodeToMemory(block)
}
