package signature_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"weir.dev/pkg/git/signature"
)

const payload = commitHeader + commitMessage

func TestVerify(t *testing.T) {
	t.Parallel()
	pgp, otherPGP := newIdentity(t, packet.Config{}), newIdentity(t, packet.Config{})
	key, otherKey, ecdsaKey := newSSHKey(t), newSSHKey(t), newECDSAKey(t)
	tests := map[string]struct {
		why    string
		files  map[string]string
		signed string // by whom, armored
		other  bool   // something else was signed
		want   string
		err    error
	}{
		"accepts a key of a ring": {
			why: "the name of the file does not matter", files: map[string]string{"anything": pgp.public()},
			signed: pgp.sign(payload), want: pgp.id(),
		},
		"accepts the second of several rings": {
			why: "all files are asked", files: map[string]string{"a.asc": otherPGP.public(), "b.asc": pgp.public()},
			signed: pgp.sign(payload), want: pgp.id(),
		},
		"accepts the second ring in a file": {
			why: "people concatenate them", files: map[string]string{"a.asc": otherPGP.public() + "\n" + pgp.public()},
			signed: pgp.sign(payload), want: pgp.id(),
		},
		"accepts an SSH key": {
			why: "the file has an own line for each", files: map[string]string{"a.sshpub": "# ours\n" + otherKey.public() + "\n" + key.public()},
			signed: key.sign(payload), want: key.id(),
		},
		"accepts an ECDSA key": {
			why: "hardware makes them", files: map[string]string{"a.sshpub": ecdsaKey.public()}, signed: ecdsaKey.sign(payload), want: ecdsaKey.id(),
		},
		"accepts a key beside a file that cannot be read": {
			why: "a Secret may hold other things", files: map[string]string{"README": "hello", "a.asc": pgp.public()},
			signed: pgp.sign(payload), want: pgp.id(),
		},
		"refuses another PGP key": {
			why: "it is not trusted", files: map[string]string{"a.asc": otherPGP.public()}, signed: pgp.sign(payload), err: signature.ErrUntrusted,
		},
		"refuses another SSH key": {
			why: "it is not trusted", files: map[string]string{"a.sshpub": otherKey.public()}, signed: key.sign(payload), err: signature.ErrUntrusted,
		},
		"refuses an SSH signature where there are PGP keys": {
			why: "none of them has made it", files: map[string]string{"a.asc": pgp.public()}, signed: key.sign(payload), err: signature.ErrUntrusted,
		},
		"refuses a PGP signature where there are SSH keys": {
			why: "none of them has made it", files: map[string]string{"a.sshpub": key.public()}, signed: pgp.sign(payload), err: signature.ErrUntrusted,
		},
		"refuses the PGP signature of something else": {
			why: "the commit is not what was signed", files: map[string]string{"a.asc": pgp.public()}, signed: pgp.sign(payload), other: true, err: signature.ErrUntrusted,
		},
		"refuses the SSH signature of something else": {
			why: "the commit is not what was signed", files: map[string]string{"a.sshpub": key.public()}, signed: key.sign(payload), other: true, err: signature.ErrUntrusted,
		},
		"refuses an SSH signature for another use": {
			why: "who signs a file does not sign a commit", files: map[string]string{"a.sshpub": key.public()}, signed: key.signFor("file", payload), err: signature.ErrUntrusted,
		},
		"refuses a digest that can be forged": {
			why: "SHA-1 collisions are for sale", files: map[string]string{"a.asc": pgp.public()}, signed: pgp.signSHA1(payload), err: signature.ErrUntrusted,
		},
		"says that S/MIME is not supported": {
			why: "users have to know", files: map[string]string{"a.asc": pgp.public()},
			signed: "-----BEGIN SIGNED MESSAGE-----\nabc\n-----END SIGNED MESSAGE-----\n", err: signature.ErrUnsupported,
		},
		"refuses what is no signature": {
			why: "nobody made it", files: map[string]string{"a.asc": pgp.public()}, signed: "abc\n", err: signature.ErrUnsupported,
		},
		"refuses an SSH signature that is cut": {
			why: "it cannot be read", files: map[string]string{"a.sshpub": key.public()},
			signed: "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n", err: signature.ErrMalformed,
		},
		"says that nothing is signed": {
			why: "that is no bad signature", files: map[string]string{"a.asc": pgp.public()}, err: signature.ErrUnsigned,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := signature.Signed{Payload: []byte(payload), Signature: []byte(tc.signed)}
			if tc.other {
				s.Payload = []byte(strings.Replace(payload, "add app", "add apt", 1))
			}
			got, err := keys(t, tc.files).Verify(s, now)
			if !errors.Is(err, tc.err) || got != tc.want {
				t.Errorf("Verify() = %q, %v; want %q, %v (%s)", got, err, tc.want, tc.err, tc.why)
			}
		})
	}
}

// A key counts by what it is now. That it was good when it signed, only its signature
// says.
func TestVerifyOldKeys(t *testing.T) {
	t.Parallel()
	const month, year = 30 * 24 * 60 * 60, 365 * 24 * 60 * 60
	at := func(lifetime uint32) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: lifetime, Time: func() time.Time { return made }}
	}
	withSubkey := func(lifetime uint32) func(*identity) error {
		return func(i *identity) error { return i.entity.AddSigningSubkey(at(lifetime)) }
	}
	tests := map[string]struct {
		why           string
		config        packet.Config
		before, after func(*identity) error // it signs
		want          bool
	}{
		"a key that will expire":    {why: "it has not yet", config: packet.Config{KeyLifetimeSecs: year}, want: true},
		"a key that has expired":    {why: "somebody may have it", config: packet.Config{KeyLifetimeSecs: month}},
		"a subkey":                  {why: "the id is that of its primary key", before: withSubkey(year), want: true},
		"a subkey that has expired": {why: "its primary key has not", before: withSubkey(month)},
		"a key that was revoked": {
			why:   "whoever owns it says so",
			after: func(i *identity) error { return i.entity.RevokeKey(packet.KeyCompromised, "", at(0)) },
		},
		"a subkey that was revoked": {
			why: "its primary key was not", before: withSubkey(year),
			after: func(i *identity) error {
				return i.entity.RevokeSubkey(&i.entity.Subkeys[len(i.entity.Subkeys)-1], packet.KeyCompromised, "", at(0))
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIdentity(t, tc.config)
			i.change(tc.before)
			s := signature.Signed{Payload: []byte(payload), Signature: []byte(i.sign(payload))}
			i.change(tc.after)
			got, err := keys(t, map[string]string{"a.asc": i.public()}).Verify(s, now)
			if tc.want && (err != nil || got != i.id()) {
				t.Errorf("Verify() = %q, %v; want %q (%s)", got, err, i.id(), tc.why)
			}
			if !tc.want && !errors.Is(err, signature.ErrUntrusted) {
				t.Errorf("Verify() = %q, %v; want that it is not trusted (%s)", got, err, tc.why)
			}
		})
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	key := newSSHKey(t)
	tests := map[string]struct {
		why   string
		files map[string]string
		says  string
	}{
		"needs a file":             {why: "nobody is trusted"},
		"needs a key":              {why: "nobody is trusted", files: map[string]string{"a.asc": "hello"}, says: `"a.asc"`},
		"needs an SSH key":         {why: "nobody is trusted", files: map[string]string{"a.sshpub": "# none\n"}, says: "no SSH public key"},
		"needs keys that are keys": {why: "nobody is trusted", files: map[string]string{"a.sshpub": "ssh-ed25519 AAAA\n"}, says: "line 1"},
		"keeps no restriction":     {why: "it would be ignored", files: map[string]string{"a.sshpub": `namespaces="file" ` + key.public()}, says: "namespaces"},
		"trusts no authority":      {why: "certificates are not verified", files: map[string]string{"a.sshpub": "cert-authority " + key.public()}, says: "cert-authority"},
		"trusts no weak key":       {why: "its signatures can be forged", files: map[string]string{"a.sshpub": dsaKey()}, says: "ssh-dss"},
		"has a limit":              {why: "it is read whole", files: map[string]string{"a.sshpub": strings.Repeat("#", 1<<20+1)}, says: "limit"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.ReadKeys(raw(tc.files))
			if !errors.Is(err, signature.ErrNoKey) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v; want %v that says %q (%s)", err, signature.ErrNoKey, tc.says, tc.why)
			}
		})
	}
}
