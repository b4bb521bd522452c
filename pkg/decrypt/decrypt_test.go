package decrypt

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"
	"github.com/getsops/sops/v3/logging"
	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/build"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
)

// ageKey returns Keys of a new age identity, and the key of SOPS that belongs to it.
func ageKey(t *testing.T) (Keys, keys.MasterKey) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, "id.agekey", "# a comment\n\n"+identity.String()+"\r\n"), &sopsage.MasterKey{Recipient: identity.Recipient().String()}
}

func parsed(t *testing.T, name, value string) Keys {
	t.Helper()
	k, err := ParseKeys(map[string][]byte{name: []byte(value)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// group is metadata with one group of keys.
func group(list ...keys.MasterKey) sops.Metadata {
	return sops.Metadata{KeyGroups: []sops.KeyGroup{list}}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	k, key := ageKey(t)
	tests := map[string]struct {
		from, to    build.Format
		plain, want string
	}{
		"yaml":           {build.YAML, build.YAML, "a: hunter2\nb:\n    - 1\n    - true\n---\n# comment\nc: hunter2\n", ""},
		"json":           {build.JSON, build.JSON, "{\n\t\"a\": \"hunter2\",\n\t\"b\": [\n\t\t1,\n\t\ttrue\n\t]\n}\n", ""},
		"dotenv":         {build.Dotenv, build.Dotenv, "A=hunter2\n# comment\nB=hunter2 2\n", ""},
		"ini":            {build.INI, build.INI, "[a]\nb = hunter2\n", ""},
		"binary":         {build.Binary, build.Binary, "hunter2\x00\xff", ""},
		"yaml to json":   {build.YAML, build.JSON, "a: hunter2\n", "{\n\t\"a\": \"hunter2\"\n}\n"},
		"json to yaml":   {build.JSON, build.YAML, `{"a": "hunter2"}`, "a: hunter2\n"},
		"json to binary": {build.JSON, build.Binary, `{"data": "hunter2"}`, "hunter2"},
		"binary to yaml": {build.Binary, build.YAML, "hunter2", "data: hunter2\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.want == "" {
				tc.want = tc.plain
			}
			document := encrypt(t, tc.from, tc.plain, sealer{}, group(key))
			got, err := New(t.Context(), k, Options{}).Decrypt(document, tc.from, tc.to)
			if err != nil || string(got) != tc.want {
				t.Errorf("Decrypt() = %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

const (
	arn      = "arn:aws:kms:eu-west-1:107501996527:key/612d5f0"
	resource = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
)

// googleAccount is a key of a service account.
func googleAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@example.com", "private_key": string(block), "private_key_id": "1", "token_uri": "https://oauth.example.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(account)
}

func TestServices(t *testing.T) {
	t.Parallel()
	as := Options{Identities: identities{}, Object: cloud.Object{Name: "app"}}
	azureOf := func(who string) []string {
		return []string{"v.vault.azure.net /keys/k/1/decrypt Bearer azure-of-" + who + "-for-https://vault.azure.net/.default"}
	}
	tests := map[string]struct {
		key   keys.MasterKey
		keys  Keys
		opts  Options
		asked []string
	}{
		"AWS":    {key: kms.NewMasterKey(arn, "", nil), keys: parsed(t, "sops.aws-kms", "aws_access_key_id: AKID\naws_secret_access_key: value\n"), opts: as, asked: []string{"kms.eu-west-1.amazonaws.com / AKID"}},
		"Azure":  {key: azkv.NewMasterKey("https://v.vault.azure.net", "k", "1"), keys: Keys{azure: azureCredential("secret")}, opts: as, asked: azureOf("secret")},
		"Google": {key: gcpkms.NewMasterKeyFromResourceID(resource), keys: parsed(t, "sops.gcp-kms", googleAccount(t)), opts: as, asked: []string{"oauth.example.com /token ", "cloudkms.googleapis.com /v1/" + resource + ":decrypt Bearer google-value"}},
		"Vault":  {key: hcvault.NewMasterKey("https://vault.example.com:8200", "transit", "k"), keys: parsed(t, "sops.vault-token", "vault-value\n"), asked: []string{"vault.example.com:8200 /v1/transit/decrypt/k vault-value"}},

		"AWS in a role":      {key: kms.NewMasterKey(arn, "arn:aws:iam::1:role/r", nil), opts: as, asked: []string{"sts.eu-west-1.amazonaws.com / app-in-eu-west-1", "kms.eu-west-1.amazonaws.com / ROLE"}},
		"AWS by identity":    {key: kms.NewMasterKey(arn, "", map[string]*string{"a": new(string)}), opts: as, asked: []string{"kms.eu-west-1.amazonaws.com / app-in-eu-west-1"}},
		"Azure by identity":  {key: azkv.NewMasterKey("https://v.vault.azure.net", "k", "1"), opts: as, asked: azureOf("app")},
		"Google by identity": {key: gcpkms.NewMasterKeyFromResourceID(resource), opts: as, asked: []string{"cloudkms.googleapis.com /v1/" + resource + ":decrypt Bearer google-of-app"}},
		"Vault by login": {
			key:   hcvault.NewMasterKey("https://vault.example.com", "transit", "k"),
			opts:  Options{VaultToken: func(_ context.Context, address string) (creds.Hidden, error) { return creds.Hide("of " + address), nil }},
			asked: []string{"vault.example.com /v1/transit/decrypt/k of https://vault.example.com"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClouds(t)
			document := encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(tc.key))
			got, err := newDecrypter(t.Context(), tc.keys, tc.opts, c.network).Decrypt(document, build.YAML, build.YAML)
			if err != nil || string(got) != "a: hunter2\n" {
				t.Errorf("Decrypt() = %q, %v", got, err)
			}
			if diff := cmp.Diff(tc.asked, c.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// A token is good for all documents of a build.
func TestGoogleIsAskedForOneToken(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	document := encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(gcpkms.NewMasterKeyFromResourceID(resource)))
	d := newDecrypter(t.Context(), parsed(t, "sops.gcp-kms", googleAccount(t)), Options{}, c.network)
	for range 3 {
		if _, err := d.Decrypt(document, build.YAML, build.YAML); err != nil {
			t.Fatal(err)
		}
	}
	tokens := slices.DeleteFunc(slices.Clone(c.asked), func(asked string) bool { return !strings.Contains(asked, "/token") })
	if len(c.asked) != 4 || len(tokens) != 1 {
		t.Errorf("asked %q, want one token", c.asked)
	}
}

// A key that does not open leaves it to the next; local keys come first, for they cost nothing.
func TestGroups(t *testing.T) {
	t.Parallel()
	k, mine := ageKey(t)
	other, foreign := ageKey(t)
	_, lost := ageKey(t)
	tests := map[string]struct {
		why    string
		groups []sops.KeyGroup
		needed int
		keys   Keys
		opens  bool
	}{
		"one of several":         {groups: []sops.KeyGroup{{foreign, hcvault.NewMasterKey("https://vault.example.com", "transit", "k"), mine}}, keys: k, opens: true},
		"none":                   {groups: []sops.KeyGroup{{foreign, lost}}, keys: k},
		"two groups of three":    {why: "the key is shared out", groups: []sops.KeyGroup{{mine}, {lost}, {foreign}}, needed: 2, keys: k.With(other), opens: true},
		"one group of three":     {groups: []sops.KeyGroup{{mine}, {lost}, {foreign}}, needed: 2, keys: k},
		"both of keys merged":    {groups: []sops.KeyGroup{{foreign}}, keys: k.With(other), opens: true},
		"keys merged the others": {groups: []sops.KeyGroup{{foreign}}, keys: other.With(k), opens: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClouds(t)
			document := encrypt(t, build.JSON, `{"a": "hunter2"}`, sealer{}, sops.Metadata{KeyGroups: tc.groups, ShamirThreshold: tc.needed})
			_, err := newDecrypter(t.Context(), tc.keys, Options{}, c.network).Decrypt(document, build.JSON, build.JSON)
			if (err == nil) != tc.opens {
				t.Errorf("Decrypt() = %v; want success %v (%s)", err, tc.opens, tc.why)
			}
			if len(c.asked) > 0 {
				t.Errorf("asked %q, though there is a local key", c.asked)
			}
		})
	}
}

// Kustomize changes encrypted objects, which the MAC would not allow.
func TestMACIsNotVerified(t *testing.T) {
	t.Parallel()
	k, key := ageKey(t)
	m := group(key)
	m.EncryptedRegex = "^data$"
	document := encrypt(t, build.YAML, "metadata:\n    name: a\ndata:\n    a: hunter2\n", sealer{}, m)
	document = []byte(strings.Replace(string(document), "name: a", "name: b", 1))
	got, err := New(t.Context(), k, Options{}).Decrypt(document, build.YAML, build.YAML)
	if want := "metadata:\n    name: b\ndata:\n    a: hunter2\n"; err != nil || string(got) != want {
		t.Errorf("Decrypt() = %q, %v; want %q", got, err, want)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	k, key := ageKey(t)
	m := group(key)
	m.EncryptedRegex = "^(data|stringData)$"
	secret := encrypt(t, build.YAML, "apiVersion: v1\nkind: Secret\nmetadata:\n    name: s\nstringData:\n    a: hunter2\n", sealer{}, m)
	src := source(map[string]string{
		"kustomization.yaml": "namePrefix: pre-\nresources: [s.yaml]\nsecretGenerator: [{name: g, envs: [x.env], files: [b], options: {disableNameSuffixHash: true}}]\n",
		"s.yaml":             string(secret),
		"x.env":              string(encrypt(t, build.Dotenv, "A=hunter2\n", sealer{}, group(key))),
		"b":                  string(encrypt(t, build.Binary, "hunter2", sealer{}, group(key))),
	})
	got, err := build.Run(src, build.Spec{}, New(t.Context(), k, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var objects []any
	for _, obj := range got.Objects {
		objects = append(objects, obj.Object)
	}
	const encoded = "aHVudGVyMg=="
	want := []any{
		map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "pre-s"}, "stringData": map[string]any{"a": "hunter2"}},
		map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "pre-g"}, "type": "Opaque", "data": map[string]any{"A": encoded, "b": encoded}},
	}
	if diff := cmp.Diff(want, objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if _, err := build.Run(src, build.Spec{}, New(t.Context(), Keys{}, Options{})); !errors.Is(err, build.ErrDecrypt) {
		t.Errorf("without keys: %v", err)
	}
}

// The requests of a build end with it.
func TestContext(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	document := encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(hcvault.NewMasterKey("https://vault.example.com", "transit", "k")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newDecrypter(ctx, parsed(t, "sops.vault-token", "t"), Options{}, c.network).Decrypt(document, build.YAML, build.YAML); err == nil || len(c.asked) > 0 {
		t.Errorf("Decrypt() = %v; asked %q", err, c.asked)
	}
}

// An answer is not read beyond its limit.
func TestAnswersAreLimited(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3<<20))
	}))
	t.Cleanup(server.Close)
	res, err := limitedClient(nil).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); n != 1<<20 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// SOPS writes comments of documents to standard error that it takes for unencrypted.
func TestSOPSIsSilent(t *testing.T) {
	t.Parallel()
	New(t.Context(), Keys{}, Options{})
	if len(logging.Loggers) == 0 {
		t.Fatal("SOPS has no loggers")
	}
	for name, logger := range logging.Loggers {
		if logger.Out != io.Discard {
			t.Errorf("logger %s writes", name)
		}
	}
}
