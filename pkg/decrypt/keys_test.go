package decrypt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/pgp"

	"weir.dev/pkg/build"
)

// newEntity returns a new OpenPGP key.
func newEntity(t *testing.T, name string) *openpgp.Entity {
	t.Helper()
	entity, err := openpgp.NewEntity(name, "", name+"@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return entity
}

// exported writes a key as gpg does.
func exported(t *testing.T, entity *openpgp.Entity, kind string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kind == openpgp.PublicKeyType {
		err = entity.Serialize(w)
	} else {
		err = entity.SerializePrivateWithoutSigning(w, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

func TestOpenPGP(t *testing.T) {
	t.Parallel()
	mine, other := newEntity(t, "mine"), newEntity(t, "other")
	private, public := exported(t, mine, openpgp.PrivateKeyType), exported(t, other, openpgp.PublicKeyType)
	var binary bytes.Buffer
	if err := mine.SerializePrivateWithoutSigning(&binary, nil); err != nil {
		t.Fatal(err)
	}
	locked := newEntity(t, "locked")
	if err := locked.EncryptPrivateKeys([]byte("hunter2"), nil); err != nil {
		t.Fatal(err)
	}
	const none = "none of the 1 OpenPGP keys that are given opens the data key"
	tests := map[string]struct {
		value string
		to    *openpgp.Entity
		want  string
	}{
		"armored":        {value: private, to: mine},
		"binary":         {value: binary.String(), to: mine},
		"several":        {value: public + private + exported(t, other, openpgp.PrivateKeyType), to: other},
		"text around it": {value: "Comment\n" + private + "\nmore\n", to: mine},
		"another":        {value: private, to: other, want: none},
		"public only":    {value: public, to: other, want: "no OpenPGP keys are given"},
		"passphrase":     {value: exported(t, locked, openpgp.PrivateKeyType), to: locked, want: errPassphrase.Error()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := parsed(t, "id.asc", tc.value)
			key := pgp.NewMasterKeyFromFingerprint(fmt.Sprintf("%X", tc.to.PrimaryKey.Fingerprint))
			document := encrypt(t, build.YAML, "a: hunter2\n", sealer{pgp: openpgp.EntityList{tc.to}}, group(key))
			got, err := New(t.Context(), k, Options{}).Decrypt(document, build.YAML, build.YAML)
			if tc.want == "" && (err != nil || string(got) != "a: hunter2\n") {
				t.Errorf("Decrypt() = %q, %v", got, err)
			}
			if tc.want != "" && (err == nil || err.Error() != "cannot get sops data key: OpenPGP key "+key.Fingerprint+": "+tc.want) {
				t.Errorf("Decrypt() = %v; want %s", err, tc.want)
			}
		})
	}
}

func TestHybridAge(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	document := encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(&sopsage.MasterKey{Recipient: identity.Recipient().String()}))
	got, err := New(t.Context(), parsed(t, "id.agekey", identity.String()), Options{}).Decrypt(document, build.YAML, build.YAML)
	if err != nil || string(got) != "a: hunter2\n" {
		t.Errorf("Decrypt() = %q, %v", got, err)
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	utf16Of := func(text string) string {
		var b bytes.Buffer
		b.Write([]byte{0xff, 0xfe})
		for _, unit := range utf16.Encode([]rune(text)) {
			b.Write([]byte{byte(unit), byte(unit >> 8)})
		}
		return b.String()
	}
	tests := map[string]struct{ name, value, want string }{
		"other names":           {name: "id.txt", value: "hunter2"},
		"other credentials":     {name: "sops.other", value: "hunter2"},
		"age":                   {name: "id.agekey", value: "hunter2", want: `the key "id.agekey" holds no age identities: one a line, that start with AGE-SECRET-KEY-, are expected`},
		"age that is cut":       {name: "id.agekey", value: "AGE-SECRET-KEY-1HUNTER2", want: `the key "id.agekey" holds no age identities: one a line, that start with AGE-SECRET-KEY-, are expected`},
		"age plugin":            {name: "id.agekey", value: "AGE-PLUGIN-HUNTER2-1", want: `the key "id.agekey" has an identity of an age plugin: these are programs, and none is run`},
		"OpenPGP":               {name: "id.asc", value: "hunter2", want: `the key "id.asc" holds no OpenPGP keys`},
		"OpenPGP that is cut":   {name: "id.asc", value: "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nhunter2\n", want: `the key "id.asc" holds no OpenPGP keys`},
		"OpenPGP message":       {name: "id.asc", value: "-----BEGIN PGP MESSAGE-----\n\nhunter2\n-----END PGP MESSAGE-----\n", want: `the key "id.asc" holds no OpenPGP keys`},
		"Vault":                 {name: "sops.vault-token", value: " \n", want: `the key "sops.vault-token" is empty: a token of Vault is expected`},
		"AWS":                   {name: "sops.aws-kms", value: "hunter2: [", want: `the key "sops.aws-kms" is not YAML`},
		"AWS that is not whole": {name: "sops.aws-kms", value: "aws_secret_access_key: hunter2", want: `the key "sops.aws-kms" lacks aws_access_key_id or aws_secret_access_key`},
		"Azure":                 {name: "sops.azure-kv", value: "tenantId: a\nclientSecret: hunter2", want: `the key "sops.azure-kv" lacks a field clientId, or tenantId, clientId and clientSecret, or tenantId, clientId and clientCertificate`},
		"Azure secret":          {name: "sops.azure-kv", value: "tenantId: a\nclientId: b\nclientSecret: hunter2"},
		"Azure of az":           {name: "sops.azure-kv", value: `{"appId": "a", "tenant": "b", "password": "hunter2"}`},
		"Azure in UTF-16":       {name: "sops.azure-kv", value: utf16Of(`{"appId": "a", "tenant": "b", "password": "hunter2"}`)},
		"Azure identity":        {name: "sops.azure-kv", value: "clientId: b"},
		"Azure certificate":     {name: "sops.azure-kv", value: "tenantId: a\nclientId: b\nclientCertificate: hunter2", want: `the key "sops.azure-kv" has a clientCertificate that cannot be read, or not with its password`},
		"Azure host":            {name: "sops.azure-kv", value: "tenantId: a\nclientId: b\nclientSecret: hunter2\nauthorityHost: http://example.com", want: `the key "sops.azure-kv" has a tenantId, an authorityHost or a certificate that Azure does not take`},
		"Google":                {name: "sops.gcp-kms", value: "hunter2", want: `the key "sops.gcp-kms" is not JSON`},
		"Google, external":      {name: "sops.gcp-kms", value: `{"type": "external_account", "credential_source": {"file": "/etc/hunter2"}}`, want: `the key "sops.gcp-kms" is of a type other than service_account and authorized_user`},
		"too long":              {name: "id.agekey", value: strings.Repeat("#", maxIdentity+1), want: `the key "id.agekey" has 1048577 bytes, more than the limit of 1048576`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := ParseKeys(map[string][]byte{tc.name: []byte(tc.value)})
			if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
				t.Errorf("ParseKeys() = %v; want %s", err, tc.want)
			}
			for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(form, k); strings.Contains(text, "hunter2") {
					t.Errorf("%s prints %s", form, text)
				}
			}
		})
	}
}

func TestParseAgeKeys(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseAgeKeys(map[string][]byte{"id.agekey": []byte(identity.String()), "sops.vault-token": []byte("t"), "sops.aws-kms": []byte("malformed")})
	if err != nil || len(k.age) != 1 || !k.vault.Empty() || k.aws != nil {
		t.Errorf("ParseAgeKeys() = %d identities, %v", len(k.age), err)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	a, b := parsed(t, "sops.vault-token", "a"), parsed(t, "sops.vault-token", "b")
	other, err := ParseKeys(map[string][]byte{"sops.vault-token": []byte("a"), "README": []byte("text")})
	if err != nil {
		t.Fatal(err)
	}
	same := map[string][2]Keys{"equal": {a, other}, "with nothing": {a, a.With(Keys{})}, "nothing with it": {a, Keys{}.With(a)}, "merged twice": {a.With(b), a.With(b)}}
	for name, pair := range same {
		if pair[0].Fingerprint() != pair[1].Fingerprint() || pair[0].Fingerprint() == "" {
			t.Errorf("%s: %q and %q", name, pair[0].Fingerprint(), pair[1].Fingerprint())
		}
	}
	others := map[string][2]Keys{"other value": {a, b}, "merged": {a, a.With(b)}, "other order": {a.With(b), b.With(a)}, "nothing": {Keys{}, a}}
	for name, pair := range others {
		if pair[0].Fingerprint() == pair[1].Fingerprint() {
			t.Errorf("%s: both are %q", name, pair[0].Fingerprint())
		}
	}
	if got := b.With(a).vault.Reveal(); got != "b" {
		t.Errorf("the token of the others wins: %q", got)
	}
}
