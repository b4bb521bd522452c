package decrypt

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/keyservice"
	"golang.org/x/oauth2"
	"google.golang.org/grpc"

	"weir.dev/pkg/build"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
)

// sealer encrypts data keys: for age and OpenPGP as they do, for the fake clouds by a prefix.
type sealer struct{ pgp openpgp.EntityList }

var _ keyservice.KeyServiceClient = sealer{}

const seal = "sealed "

func (s sealer) Encrypt(_ context.Context, req *keyservice.EncryptRequest, _ ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	sealed := append([]byte(seal), req.Plaintext...)
	var text string
	var err error
	switch key := req.Key.KeyType.(type) {
	case *keyservice.Key_AgeKey:
		text, err = sealAge(key.AgeKey.Recipient, req.Plaintext)
	case *keyservice.Key_PgpKey:
		text, err = sealOpenPGP(s.pgp, req.Plaintext)
	case *keyservice.Key_AzureKeyvaultKey:
		text = base64.RawURLEncoding.EncodeToString(sealed)
	default:
		text = base64.StdEncoding.EncodeToString(sealed)
	}
	return &keyservice.EncryptResponse{Ciphertext: []byte(text)}, err
}

func (sealer) Decrypt(context.Context, *keyservice.DecryptRequest, ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	return nil, errors.New("this only encrypts")
}

func sealAge(recipient string, key []byte) (string, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(recipient))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	lines := armor.NewWriter(&out)
	w, err := age.Encrypt(lines, recipients...)
	if err != nil {
		return "", err
	}
	_, err = w.Write(key)
	if err := errors.Join(err, w.Close(), lines.Close()); err != nil {
		return "", err
	}
	return out.String(), nil
}

func sealOpenPGP(to openpgp.EntityList, key []byte) (string, error) {
	var out bytes.Buffer
	lines, err := pgparmor.Encode(&out, "PGP MESSAGE", nil)
	if err != nil {
		return "", err
	}
	w, err := openpgp.Encrypt(lines, to, nil, nil, &packet.Config{})
	if err != nil {
		return "", err
	}
	_, err = w.Write(key)
	if err := errors.Join(err, w.Close(), lines.Close()); err != nil {
		return "", err
	}
	return out.String(), nil
}

// encrypt writes a document of SOPS.
func encrypt(t *testing.T, f build.Format, plain string, by sealer, m sops.Metadata) []byte {
	t.Helper()
	s, ok := storeOf(f).(sops.Store)
	if !ok {
		t.Fatalf("no store for %s", f)
	}
	branches, err := s.LoadPlainFile([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	m.KeyGroups = copied(m.KeyGroups)
	m.Version, m.LastModified = "3.13.3", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tree := sops.Tree{Branches: branches, Metadata: m}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{by})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	mac, err := tree.Encrypt(key, aes.NewCipher())
	if err != nil {
		t.Fatal(err)
	}
	if tree.Metadata.MessageAuthenticationCode, err = aes.NewCipher().Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339)); err != nil {
		t.Fatal(err)
	}
	document, err := s.EmitEncryptedFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(document, []byte("hunter2")) {
		t.Fatalf("not encrypted: %s", document)
	}
	return document
}

// copied returns keys of which the data key can be set while others use the originals.
func copied(groups []sops.KeyGroup) []sops.KeyGroup {
	var list []sops.KeyGroup
	for _, group := range groups {
		var of sops.KeyGroup
		for _, key := range group {
			again := reflect.New(reflect.TypeOf(key).Elem())
			again.Elem().Set(reflect.ValueOf(key).Elem())
			of = append(of, again.Interface().(keys.MasterKey))
		}
		list = append(list, of)
	}
	return list
}

// clouds are key services that take the seal off data keys, at whatever address they are asked.
type clouds struct {
	network
	mu    sync.Mutex
	asked []string // service and credentials
	fail  int      // status of all answers, 0 for none
}

func newClouds(t *testing.T) *clouds {
	t.Helper()
	c := &clouds{}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.transport = redirected{to.Host}
	return c
}

// redirected sends all requests to one place, and says where they were to go.
type redirected struct{ host string }

func (r redirected) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Asked", req.URL.Host)
	req.URL.Scheme, req.URL.Host = "http", r.host
	return http.DefaultTransport.RoundTrip(req)
}

func (c *clouds) serve(w http.ResponseWriter, r *http.Request) {
	var body struct{ CiphertextBlob, Value, Ciphertext, Role, JWT string }
	content, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(content, &body)
	host, who := r.Header.Get("X-Asked"), r.Header.Get("Authorization")
	if key, ok := strings.CutPrefix(who, "AWS4-HMAC-SHA256 Credential="); ok {
		who, _, _ = strings.Cut(key, "/")
	}
	answer := ""
	switch {
	case strings.HasSuffix(r.URL.Path, "/token"):
		answer = `{"access_token": "google-value", "expires_in": 3600, "token_type": "Bearer"}`
	case strings.HasPrefix(host, "sts."):
		answer = `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey>` +
			`<SessionToken>x</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
	case strings.HasPrefix(host, "kms."):
		answer = fmt.Sprintf(`{"KeyId": "k", "Plaintext": %q}`, unseal(base64.StdEncoding, body.CiphertextBlob))
	case strings.HasSuffix(host, ".vault.azure.net") && who == "":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.example.com/tenant", resource="https://vault.azure.net"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case strings.HasSuffix(host, ".vault.azure.net"):
		answer = fmt.Sprintf(`{"kid": "k", "value": %q}`, unseal(base64.RawURLEncoding, body.Value))
	case host == "cloudkms.googleapis.com":
		answer = fmt.Sprintf(`{"plaintext": %q}`, unseal(base64.StdEncoding, body.Ciphertext))
	case strings.HasPrefix(r.URL.Path, "/v1/auth/"):
		var claims struct{ Aud string }
		if parts := strings.Split(body.JWT, "."); len(parts) == 3 {
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			_ = json.Unmarshal(payload, &claims)
		}
		who = body.Role + " for " + claims.Aud
		answer = `{"auth": {"client_token": "login-value"}}`
	default:
		who = r.Header.Get("X-Vault-Token")
		answer = fmt.Sprintf(`{"data": {"plaintext": %q}}`, unseal(base64.StdEncoding, body.Ciphertext))
	}
	c.mu.Lock()
	c.asked = append(c.asked, fmt.Sprintf("%s %s %s", host, r.URL.Path, who))
	fail := c.fail
	c.mu.Unlock()
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if fail != 0 {
		w.WriteHeader(fail)
		answer = `{"__type": "AccessDeniedException", "message": "not for you", "errors": ["permission denied"], "error": {"code": 403, "message": "not for you"}}`
	}
	_, _ = io.WriteString(w, answer)
}

func unseal(encoding *base64.Encoding, text string) string {
	sealed, _ := encoding.DecodeString(text)
	return encoding.EncodeToString(bytes.TrimPrefix(sealed, []byte(seal)))
}

// identities are credentials of fake clouds.
type identities struct{ err error }

func (i identities) S3(_ context.Context, o cloud.Object, region, _ string, _ creds.Proxy) (cloud.Keys, error) {
	return cloud.Keys{Access: creds.Hide(o.Name + "-in-" + region), Secret: creds.Hide("aws-value"), Session: creds.Hide("session-value")}, i.err
}

func (i identities) GCS(_ context.Context, o cloud.Object, _ creds.Proxy) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "google-of-" + o.Name}), i.err
}

func (i identities) Blobs(o cloud.Object, _ creds.Proxy) (azcore.TokenCredential, error) {
	return azureCredential(o.Name), i.err
}

type azureCredential string

func (c azureCredential) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "azure-of-" + string(c) + "-for-" + strings.Join(opts.Scopes, ","), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// tree is a build.Source in memory.
type tree struct{ fstest.MapFS }

func source(files map[string]string) tree {
	t := tree{fstest.MapFS{}}
	for name, content := range files {
		t.MapFS[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return t
}

func (t tree) FileDigest(name string) (string, bool) {
	content, err := t.ReadFile(name)
	return string(content), err == nil
}

func (t tree) DirDigest(name string) (string, bool) {
	entries, err := t.ReadDir(name)
	return fmt.Sprint(entries), err == nil
}
