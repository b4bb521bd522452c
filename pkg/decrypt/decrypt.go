// Package decrypt decrypts documents of SOPS, for builds.
//
// Data keys are opened in this process: by age identities and OpenPGP keys, or by the key service of
// a cloud or a Vault. No other program runs, and no keyring of the machine is read. The libraries of
// the key services read settings of their own from the environment, such as proxies and certificate
// authorities, but no credentials: those are given, or there are none.
//
// As in Flux, the MAC of a document is not verified: kustomize may have changed it.
//
// Errors name keys, and hold nothing of what is encrypted nor of what it is encrypted with.
package decrypt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsconfig "github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/logging"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"go.yaml.in/yaml/v3"
	"golang.org/x/oauth2"

	"weir.dev/pkg/build"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
)

// What one document may have. Each key may cost a request, and each value is compared with each
// pattern, which is parsed each time.
const (
	maxDocument = 5 << 20 // bytes
	maxGroups   = 20
	maxKeys     = 100 // in all groups
	maxPattern  = 512 // bytes
)

// Identities get credentials for clouds. *cloud.Identities does.
type Identities interface {
	S3(ctx context.Context, o cloud.Object, region, endpoint string, proxy creds.Proxy) (cloud.Keys, error)
	GCS(ctx context.Context, o cloud.Object, proxy creds.Proxy) (oauth2.TokenSource, error)
	Blobs(o cloud.Object, proxy creds.Proxy) (azcore.TokenCredential, error)
}

// Options say what is used where Keys have nothing. The zero value is nothing.
type Options struct {
	// Identities ask the key services of clouds as Object. nil means that nobody does.
	Identities Identities
	Object     cloud.Object

	// VaultToken returns a token for the Vault at an address, which comes from a document: whoever
	// wrote that gets the token. nil means that there are none.
	VaultToken func(ctx context.Context, address string) (creds.Hidden, error)
}

// New returns a Decrypter for one build. Its requests end with ctx.
func New(ctx context.Context, keys Keys, opts Options) build.Decrypter {
	return newDecrypter(ctx, keys, opts, network{})
}

func newDecrypter(ctx context.Context, keys Keys, opts Options, n network) decrypter {
	silence()
	s := &services{keys: keys, opts: opts, network: n}
	s.google = sync.OnceValues(func() (oauth2.TokenSource, error) { return s.sourceGoogle(ctx) })
	return func(m *sops.Metadata) ([]byte, error) {
		asked := &attempt{open: func(key *keyservice.Key, dataKey string) (string, []byte, error) { return s.open(ctx, key, dataKey) }}
		key, err := m.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{asked}, sops.DefaultDecryptionOrder)
		if err != nil {
			return nil, asked.failed()
		}
		return key, nil
	}
}

// silence keeps SOPS from writing to standard error, parts of documents among it.
var silence = sync.OnceFunc(func() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
})

// decrypter is a function that gets the data key of a document.
type decrypter func(*sops.Metadata) ([]byte, error)

var errDocument = errors.New("the document cannot be decrypted: it is malformed")

// Decrypt implements build.Decrypter.
func (d decrypter) Decrypt(document []byte, from, to build.Format) (plain []byte, err error) {
	defer func() {
		if recover() != nil { // what it says may be of the content
			plain, err = nil, errDocument
		}
	}()
	input, output := storeOf(from), storeOf(to)
	if input == nil || output == nil {
		return nil, fmt.Errorf("%s cannot be decrypted to %s", from, to)
	}
	if err := check(document, from); err != nil {
		return nil, err
	}
	tree, err := input.LoadEncryptedFile(document)
	switch {
	case errors.Is(err, sops.MetadataNotFound):
		return nil, fmt.Errorf("the document is not encrypted by SOPS: it has no metadata of it as %s", from)
	case err != nil:
		return nil, fmt.Errorf("the document cannot be read as %s, or not its metadata of SOPS", from)
	}
	if err := checkMetadata(&tree.Metadata); err != nil {
		return nil, err
	}
	key, err := d(&tree.Metadata)
	if err != nil {
		return nil, fmt.Errorf("cannot get sops data key: %w", err)
	}
	if _, err := tree.Decrypt(key, aes.NewCipher()); err != nil {
		return nil, explain(err)
	}
	if plain, err = output.EmitPlainFile(tree.Branches); err != nil {
		return nil, fmt.Errorf("what is decrypted from %s cannot be written as %s", from, to)
	}
	return plain, nil
}

// store reads and writes documents.
type store interface {
	sops.EncryptedFileLoader
	sops.PlainFileEmitter
}

func storeOf(f build.Format) store {
	config := sopsconfig.NewStoresConfig()
	switch f {
	case build.YAML:
		return sopsyaml.NewStore(&config.YAML)
	case build.JSON:
		return sopsjson.NewStore(&config.JSON)
	case build.Dotenv:
		return dotenv.NewStore(&config.Dotenv)
	case build.INI:
		return ini.NewStore(&config.INI)
	case build.Binary:
		return sopsjson.NewBinaryStore(&config.JSONBinary)
	}
	return nil
}

// check refuses documents that SOPS does not survive: it follows aliases of YAML wherever they lead,
// and recurses into JSON as deep as it goes. SOPS writes no aliases.
func check(document []byte, f build.Format) error {
	if len(document) > maxDocument {
		return fmt.Errorf("the document has %d bytes, more than the limit of %d", len(document), maxDocument)
	}
	switch f {
	case build.JSON, build.Binary:
		if !json.Valid(document) {
			return fmt.Errorf("the document is no JSON, which it must be as %s", f)
		}
	case build.YAML:
		return checkYAML(document)
	}
	return nil
}

func checkYAML(document []byte) error {
	for decoder := yaml.NewDecoder(bytes.NewReader(document)); ; {
		var node yaml.Node
		switch err := decoder.Decode(&node); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil: // which may quote
			return errors.New("the document is no YAML")
		case hasAlias(&node):
			return errors.New("the document has an alias of YAML, which SOPS does not write")
		}
	}
}

func hasAlias(node *yaml.Node) bool {
	if node.Kind == yaml.AliasNode {
		return true
	}
	for _, part := range node.Content {
		if hasAlias(part) {
			return true
		}
	}
	return false
}

func checkMetadata(m *sops.Metadata) error {
	keys := 0
	for _, group := range m.KeyGroups {
		keys += len(group)
	}
	if len(m.KeyGroups) > maxGroups || keys > maxKeys {
		return fmt.Errorf("the document has %d keys in %d groups, more than the limits of %d and %d", keys, len(m.KeyGroups), maxKeys, maxGroups)
	}
	for _, pattern := range []string{m.EncryptedRegex, m.UnencryptedRegex, m.EncryptedCommentRegex, m.UnencryptedCommentRegex} {
		if len(pattern) > maxPattern {
			return fmt.Errorf("a regular expression in the metadata of SOPS has %d bytes, more than the limit of %d", len(pattern), maxPattern)
		}
	}
	return nil
}

// explain says what is wrong with the values of a document. SOPS says it by repeating them, and has
// no types for it.
func explain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "does not match sops' data format"):
		return errors.New("error decrypting sops tree: a value is not encrypted that should be, by the rules in the metadata of SOPS")
	case strings.Contains(text, "Could not decrypt with AES_GCM"):
		return errors.New("error decrypting sops tree: a value does not belong to the data key, or was moved within the document")
	}
	return errors.New("error decrypting sops tree: a value is not what SOPS writes")
}
