package decrypt

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keyservice"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"weir.dev/pkg/creds"
)

const (
	maxDataKey = 64 << 10 // bytes, encrypted or not
	patience   = 30 * time.Second
)

// services open data keys with what a build was given.
type services struct {
	keys    Keys
	opts    Options
	network network
	google  func() (oauth2.TokenSource, error) // which keeps its token
}

// attempt is the attempt to open the data key of one document, by one of its keys after the other.
type attempt struct {
	// open opens a data key. SOPS passes no context on to it.
	open     func(key *keyservice.Key, dataKey string) (name string, opened []byte, err error)
	failures []string
}

var _ keyservice.KeyServiceClient = (*attempt)(nil)

// Encrypt implements keyservice.KeyServiceClient.
func (a *attempt) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("nothing is encrypted here")
}

// Decrypt implements keyservice.KeyServiceClient.
func (a *attempt) Decrypt(_ context.Context, req *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	name, key, err := a.open(req.GetKey(), string(req.GetCiphertext()))
	if err != nil {
		a.failures = append(a.failures, oneLine(name)+": "+oneLine(stable(err).Error()))
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: key}, nil
}

// failed says why no key would do.
func (a *attempt) failed() error {
	const told = 5
	switch n := len(a.failures); {
	case n == 0:
		return errors.New("the document names no keys, or fewer groups of them than it needs")
	case n > told:
		return fmt.Errorf("%s; and %d more", strings.Join(a.failures[:told], "; "), n-told)
	}
	return errors.New(strings.Join(a.failures, "; "))
}

// oneLine makes a short text of one that comes from outside.
func oneLine(text string) string {
	const most = 250
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// open opens a data key with the key that it was encrypted with.
func (s *services) open(ctx context.Context, key *keyservice.Key, dataKey string) (name string, opened []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name, open := s.opener(key)
	if len(dataKey) > maxDataKey {
		return name, nil, errors.New("the encrypted data key is too long")
	}
	opened, err = open(ctx, dataKey)
	return name, opened, err
}

// opener returns the name of a key, and what opens data keys that were encrypted with it.
func (s *services) opener(key *keyservice.Key) (name string, open func(ctx context.Context, dataKey string) ([]byte, error)) {
	switch key := key.GetKeyType().(type) {
	case *keyservice.Key_AgeKey:
		return "age key " + key.AgeKey.Recipient, func(_ context.Context, dataKey string) ([]byte, error) { return s.keys.openAge(dataKey) }
	case *keyservice.Key_PgpKey:
		return "OpenPGP key " + key.PgpKey.Fingerprint, func(_ context.Context, dataKey string) ([]byte, error) { return s.keys.openOpenPGP(dataKey) }
	case *keyservice.Key_VaultKey:
		k := key.VaultKey
		return fmt.Sprintf("Vault key %s/v1/%s/keys/%s", k.VaultAddress, k.EnginePath, k.KeyName), func(ctx context.Context, dataKey string) ([]byte, error) {
			return s.openVault(ctx, k, dataKey)
		}
	case *keyservice.Key_KmsKey:
		return "AWS key " + key.KmsKey.Arn, func(ctx context.Context, dataKey string) ([]byte, error) { return s.openAWS(ctx, key.KmsKey, dataKey) }
	case *keyservice.Key_AzureKeyvaultKey:
		k := key.AzureKeyvaultKey
		return fmt.Sprintf("Azure key %s/keys/%s/%s", k.VaultUrl, k.Name, k.Version), func(ctx context.Context, dataKey string) ([]byte, error) {
			return s.openAzure(ctx, k, dataKey)
		}
	case *keyservice.Key_GcpKmsKey:
		return "Google key " + key.GcpKmsKey.ResourceId, func(ctx context.Context, dataKey string) ([]byte, error) {
			return s.openGoogle(ctx, key.GcpKmsKey, dataKey)
		}
	}
	return "key of another kind", func(context.Context, string) ([]byte, error) {
		return nil, errors.New("such keys are not supported")
	}
}

func readDataKey(r io.Reader) ([]byte, error) {
	key, err := io.ReadAll(io.LimitReader(r, maxDataKey))
	if err != nil {
		return nil, errors.New("the data key is damaged")
	}
	return key, nil
}

// openAge decrypts a data key.
func (k Keys) openAge(message string) ([]byte, error) {
	if len(k.age) == 0 {
		return nil, errors.New("no age identities are given")
	}
	opened, err := age.Decrypt(armor.NewReader(strings.NewReader(message)), k.age...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, fmt.Errorf("none of the %d age identities that are given opens the data key", len(k.age))
	case err != nil:
		return nil, errors.New("the data key is no message of age")
	}
	return readDataKey(opened)
}

// openVault has a data key decrypted by the transit engine of a Vault.
func (s *services) openVault(ctx context.Context, key *keyservice.VaultKey, dataKey string) ([]byte, error) {
	token := s.keys.vault
	if token.Empty() && s.opts.VaultToken != nil {
		var err error
		if token, err = s.opts.VaultToken(ctx, key.VaultAddress); err != nil {
			return nil, err
		}
	}
	if token.Empty() { // SOPS would look for one in the environment, and send it to whatever address
		return nil, errors.New("no token of Vault is given")
	}
	k := hcvault.MasterKey{VaultAddress: key.VaultAddress, EnginePath: key.EnginePath, KeyName: key.KeyName, EncryptedKey: dataKey}
	hcvault.Token(token.Reveal()).ApplyToMasterKey(&k)
	hcvault.NewHTTPClient(s.network.vaultClient()).ApplyToMasterKey(&k)
	return k.DecryptContext(ctx)
}

var regionOf = regexp.MustCompile(`^arn:aws[\w-]*:kms:([^:]+):`)

// openAWS has a data key decrypted by AWS. The profile that a document may name is one of the machine
// that encrypted it.
func (s *services) openAWS(ctx context.Context, key *keyservice.KmsKey, dataKey string) ([]byte, error) {
	region := regionOf.FindStringSubmatch(key.Arn)
	if region == nil {
		return nil, errors.New("the ARN of the key is malformed")
	}
	provider, err := s.credentialsAWS(ctx, region[1])
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(dataKey)
	if err != nil {
		return nil, errors.New("the data key is not base64")
	}
	// The client of SOPS takes its settings, and fails for some of them, from the environment.
	config := aws.Config{Region: region[1], Credentials: provider, HTTPClient: s.network.client()}
	if key.Role != "" {
		config.Credentials = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(config), key.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "sops"
		})
	}
	out, err := kms.NewFromConfig(config).Decrypt(ctx, &kms.DecryptInput{KeyId: &key.Arn, CiphertextBlob: sealed, EncryptionContext: key.Context})
	if err != nil {
		return nil, err
	}
	return out.Plaintext, nil
}

var errNoIdentity = errors.New("no credentials for it are given, and no identity of a cloud is used")

func (s *services) credentialsAWS(ctx context.Context, region string) (aws.CredentialsProvider, error) {
	if s.keys.aws != nil {
		return s.keys.aws, nil
	}
	if s.opts.Identities == nil {
		return nil, errNoIdentity
	}
	given, err := s.opts.Identities.S3(ctx, s.opts.Object, region, "", creds.Proxy{})
	if err != nil {
		return nil, err
	}
	return credentials.NewStaticCredentialsProvider(given.Access.Reveal(), given.Secret.Reveal(), given.Session.Reveal()), nil
}

// openAzure has a data key decrypted by a key vault of Azure.
func (s *services) openAzure(ctx context.Context, key *keyservice.AzureKeyVaultKey, dataKey string) ([]byte, error) {
	credential := s.keys.azure
	if credential == nil {
		if s.opts.Identities == nil {
			return nil, errNoIdentity
		}
		var err error
		if credential, err = s.opts.Identities.Blobs(s.opts.Object, creds.Proxy{}); err != nil {
			return nil, err
		}
	}
	k := azkv.MasterKey{VaultURL: key.VaultUrl, Name: key.Name, Version: key.Version, EncryptedKey: dataKey}
	azkv.NewTokenCredential(credential).ApplyToMasterKey(&k)
	azkv.NewClientOptions(&azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: s.network.client()}}).ApplyToMasterKey(&k)
	return k.DecryptContext(ctx)
}

// openGoogle has a data key decrypted by Google.
func (s *services) openGoogle(ctx context.Context, key *keyservice.GcpKmsKey, dataKey string) ([]byte, error) {
	source, err := s.google()
	if err != nil {
		return nil, err
	}
	k := gcpkms.MasterKey{ResourceID: key.ResourceId, EncryptedKey: dataKey}
	gcpkms.NewTokenSource(source).ApplyToMasterKey(&k)
	gcpkms.UseRESTClient{}.ApplyToMasterKey(&k)
	authorized := &http.Client{Transport: &oauth2.Transport{Source: source, Base: s.network.client().Transport}}
	gcpkms.ClientOptions{option.WithHTTPClient(authorized)}.ApplyToMasterKey(&k)
	return k.DecryptContext(ctx)
}

func (s *services) sourceGoogle(ctx context.Context) (oauth2.TokenSource, error) {
	switch {
	case s.keys.google != nil:
		return s.keys.google(ctx, s.network.client())
	case s.opts.Identities != nil:
		return s.opts.Identities.GCS(ctx, s.opts.Object, creds.Proxy{})
	}
	return nil, errNoIdentity
}
