package decrypt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"filippo.io/age"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/creds"
)

// Names of keys in the data of a Secret.
const (
	extOpenPGP   = ".asc"
	extAge       = ".agekey"
	nameVault    = "sops.vault-token"
	nameAWS      = "sops.aws-kms"
	nameAzure    = "sops.azure-kv"
	nameGoogle   = "sops.gcp-kms"
	googleScope  = "https://www.googleapis.com/auth/cloudkms"
	maxIdentity  = 1 << 20 // bytes of one key of a Secret, which has no more
	pluginPrefix = "AGE-PLUGIN-"
)

// Keys are what documents are decrypted with. The zero value has none. They do not change.
type Keys struct {
	age    []age.Identity
	pgp    openpgp.EntityList
	vault  creds.Hidden
	aws    aws.CredentialsProvider
	azure  azcore.TokenCredential
	google func(context.Context, *http.Client) (oauth2.TokenSource, error)
	digest string
}

// ParseKeys reads the data of a Secret: OpenPGP private keys under names that end in .asc, age
// identities under names that end in .agekey, and the credentials of key services as
// sops.vault-token, sops.aws-kms, sops.azure-kv and sops.gcp-kms. It leaves out other names. Errors
// name the key of the Secret, and hold nothing of its value.
func ParseKeys(data map[string][]byte) (Keys, error) { return parse(data, parserOf) }

// ParseAgeKeys is ParseKeys for age identities only: those that are for everybody must bring no
// credentials of key services, which would take the place of everybody's identity.
func ParseAgeKeys(data map[string][]byte) (Keys, error) {
	return parse(data, func(name string) parser {
		if path.Ext(name) != extAge {
			return nil
		}
		return (*Keys).parseAge
	})
}

// parser reads the value of a key of a Secret.
type parser func(*Keys, []byte) error

func parserOf(name string) parser {
	switch {
	case path.Ext(name) == extOpenPGP:
		return (*Keys).parseOpenPGP
	case path.Ext(name) == extAge:
		return (*Keys).parseAge
	case name == nameVault:
		return (*Keys).parseVault
	case name == nameAWS:
		return (*Keys).parseAWS
	case name == nameAzure:
		return (*Keys).parseAzure
	case name == nameGoogle:
		return (*Keys).parseGoogle
	}
	return nil
}

func parse(data map[string][]byte, parserOf func(name string) parser) (Keys, error) {
	var k Keys
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(data)) {
		read := parserOf(name)
		if read == nil {
			continue
		}
		value := data[name]
		if len(value) > maxIdentity {
			return Keys{}, fmt.Errorf("the key %q has %d bytes, more than the limit of %d", name, len(value), maxIdentity)
		}
		if err := read(&k, value); err != nil {
			return Keys{}, fmt.Errorf("the key %q %w", name, err)
		}
		fmt.Fprintf(h, "%q %q\n", name, value)
		k.digest = hex.EncodeToString(h.Sum(nil))
	}
	return k, nil
}

// With returns the keys together with others. Where there can be only one credential, that of k wins.
func (k Keys) With(others Keys) Keys {
	k.age = slices.Concat(k.age, others.age)
	k.pgp = slices.Concat(k.pgp, others.pgp)
	if k.vault.Empty() {
		k.vault = others.vault
	}
	if k.aws == nil {
		k.aws = others.aws
	}
	if k.azure == nil {
		k.azure = others.azure
	}
	if k.google == nil {
		k.google = others.google
	}
	switch {
	case k.digest == "":
		k.digest = others.digest
	case others.digest != "":
		sum := sha256.Sum256([]byte(k.digest + others.digest))
		k.digest = hex.EncodeToString(sum[:])
	}
	return k
}

// Fingerprint is the same for the same keys, and "" for none.
func (k Keys) Fingerprint() string { return k.digest }

// String tells nothing of the keys, and neither does GoString.
func (k Keys) String() string { return "decrypt.Keys{…}" }

// GoString implements fmt.GoStringer.
func (k Keys) GoString() string { return k.String() }

func (k *Keys) parseAge(value []byte) error {
	var lines []string
	for line := range strings.Lines(string(value)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, pluginPrefix) {
			return errors.New("has an identity of an age plugin: these are programs, and none is run")
		}
		lines = append(lines, line)
	}
	identities, err := age.ParseIdentities(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil { // which may quote
		return errors.New("holds no age identities: one a line, that start with AGE-SECRET-KEY-, are expected")
	}
	k.age = append(k.age, identities...)
	return nil
}

func (k *Keys) parseVault(value []byte) error {
	k.vault = creds.Hide(strings.TrimSpace(string(value)))
	if k.vault.Empty() {
		return errors.New("is empty: a token of Vault is expected")
	}
	return nil
}

func (k *Keys) parseAWS(value []byte) error {
	var keys struct {
		Access  string `json:"aws_access_key_id"`
		Secret  string `json:"aws_secret_access_key"`
		Session string `json:"aws_session_token"`
	}
	if err := yaml.Unmarshal(value, &keys); err != nil {
		return errors.New("is not YAML")
	}
	if keys.Access == "" || keys.Secret == "" {
		return errors.New("lacks aws_access_key_id or aws_secret_access_key")
	}
	k.aws = credentials.NewStaticCredentialsProvider(keys.Access, keys.Secret, keys.Session)
	return nil
}

// azureAccount is what there may be in sops.azure-kv: the fields of a service principal, also by the
// names that the az command gives them, or a managed identity.
type azureAccount struct {
	TenantID       string `json:"tenantId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
	Certificate    string `json:"clientCertificate"`
	CertPassword   string `json:"clientCertificatePassword"`
	CertSendsChain bool   `json:"clientCertificateSendChain"`
	AuthorityHost  string `json:"authorityHost"`

	AppID    string `json:"appId"`
	Tenant   string `json:"tenant"`
	Password string `json:"password"`
}

func (k *Keys) parseAzure(value []byte) error {
	var account azureAccount
	if err := yaml.Unmarshal(utf8Of(value), &account); err != nil {
		return errors.New("is not YAML")
	}
	credential, err := account.credential()
	if err != nil {
		return err
	}
	k.azure = credential
	return nil
}

func (a azureAccount) credential() (credential azcore.TokenCredential, err error) {
	options := azcore.ClientOptions{Transport: limitedClient(nil)}
	if a.AuthorityHost != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: a.AuthorityHost}
	}
	switch {
	case a.TenantID != "" && a.ClientID != "" && a.ClientSecret != "":
		credential, err = azidentity.NewClientSecretCredential(a.TenantID, a.ClientID, a.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case a.TenantID != "" && a.ClientID != "" && a.Certificate != "":
		certs, key, parseErr := azidentity.ParseCertificates([]byte(a.Certificate), []byte(a.CertPassword))
		if parseErr != nil {
			return nil, errors.New("has a clientCertificate that cannot be read, or not with its password")
		}
		credential, err = azidentity.NewClientCertificateCredential(a.TenantID, a.ClientID, certs, key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: options, SendCertificateChain: a.CertSendsChain,
		})
	case a.Tenant != "" && a.AppID != "" && a.Password != "":
		credential, err = azidentity.NewClientSecretCredential(a.Tenant, a.AppID, a.Password, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case a.ClientID != "":
		credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(a.ClientID)})
	default:
		return nil, errors.New("lacks a field clientId, or tenantId, clientId and clientSecret, or tenantId, clientId and clientCertificate")
	}
	if err != nil {
		return nil, errors.New("has a tenantId, an authorityHost or a certificate that Azure does not take")
	}
	return credential, nil
}

// utf8Of decodes what the tools of another system write as UTF-16.
func utf8Of(value []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(value, []byte{0xff, 0xfe}):
	case bytes.HasPrefix(value, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return value
	}
	units := make([]uint16, 0, len(value)/2)
	for i := 2; i+1 < len(value); i += 2 {
		units = append(units, order.Uint16(value[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// parseGoogle takes keys of service accounts and of users. Other credentials name files and programs
// of this process, or addresses to send its tokens to.
func (k *Keys) parseGoogle(value []byte) error {
	value = bytes.TrimSpace(value)
	var head struct{ Type google.CredentialsType }
	if err := json.Unmarshal(value, &head); err != nil {
		return errors.New("is not JSON")
	}
	if head.Type != google.ServiceAccount && head.Type != google.AuthorizedUser {
		return fmt.Errorf("is of a type other than %s and %s", google.ServiceAccount, google.AuthorizedUser)
	}
	source := func(ctx context.Context, client *http.Client) (oauth2.TokenSource, error) {
		given, err := google.CredentialsFromJSONWithType(context.WithValue(ctx, oauth2.HTTPClient, client), value, head.Type, googleScope)
		if err != nil { // which may quote
			return nil, errors.New("the credentials for Google cannot be read")
		}
		return given.TokenSource, nil
	}
	if _, err := source(context.Background(), http.DefaultClient); err != nil {
		return errors.New("is no key of an account of Google")
	}
	k.google = source
	return nil
}
