package build

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/types"
)

// Decrypter decrypts documents that SOPS has encrypted.
type Decrypter interface {
	// Decrypt returns what a document of one format holds, in another format. Its errors hold
	// nothing of the content.
	Decrypt(document []byte, from, to Format) ([]byte, error)
}

// Format is how a document is written.
type Format string

// The formats of SOPS.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	INI    Format = "ini"
	Binary Format = "binary" // anything, within JSON if it is encrypted
)

var (
	// ErrDecrypt marks that a Decrypter has failed. The same tree may build with other keys, or once
	// a key service answers.
	ErrDecrypt = errors.New("decryption failed")

	// ErrEncrypted marks that a Secret is encrypted, and that the build was given no Decrypter.
	ErrEncrypted = errors.New("is SOPS encrypted, configuring decryption is required for this secret to be reconciled")
)

// decryptKey is the annotation that keeps an object as it is.
const decryptKey = "kustomize.toolkit.fluxcd.io/decrypt"

// formatOf returns the format of a file of a name.
func formatOf(name string) Format {
	if strings.HasSuffix(name, ".dockerconfigjson") {
		return JSON
	}
	switch path.Ext(name) {
	case ".yaml", ".yml":
		return YAML
	case ".json":
		return JSON
	case ".env":
		return Dotenv
	case ".ini":
		return INI
	}
	return Binary
}

// isEncrypted says whether a document of a format is encrypted.
func isEncrypted(document []byte, f Format) bool {
	has := func(mark string) bool { return bytes.Contains(document, []byte(mark)) }
	switch f {
	case YAML:
		return has("mac: ENC[")
	case JSON, Binary:
		return has(`"mac": "ENC[`)
	case Dotenv:
		return has("sops_mac=ENC[")
	case INI:
		return has("[sops]") && has("ENC[")
	}
	return false
}

// encryptedFormat returns the format in which a document is encrypted, "" if it is not.
func encryptedFormat(document []byte) Format {
	for _, f := range []Format{Dotenv, INI, JSON, YAML} { // JSON may be within any other
		if isEncrypted(document, f) {
			return f
		}
	}
	return ""
}

// decryptFiles decrypts the files of which kustomizations make Secrets and patches, before kustomize
// reads them.
func (g *graph) decryptFiles(decrypter Decrypter) error {
	if decrypter == nil {
		return nil
	}
	for _, k := range g.order {
		for _, f := range encryptable(&k.Kustomization) {
			if err := g.decryptFile(path.Join(k.dir, f.name), f.format, decrypter); err != nil {
				return err
			}
		}
	}
	return nil
}

// decryptFile keeps the plain content of a file, if it is encrypted.
func (g *graph) decryptFile(name string, format Format, decrypter Decrypter) error {
	if g.plain[name] != nil {
		return nil
	}
	content, err := g.tree.readFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // a patch that is written into the kustomization itself
	case err != nil:
		return err
	case !isEncrypted(content, format):
		return nil
	}
	plain, err := decrypter.Decrypt(content, format, format)
	if err != nil {
		return fmt.Errorf("%w for '%s': %w", ErrDecrypt, name, err)
	}
	if err := checkYAML(name, plain); err != nil {
		return err
	}
	g.plain[name] = append([]byte{}, plain...) // not nil, also if it is empty
	return nil
}

// readPlain returns the content of a file, decrypted if it was.
func (g *graph) readPlain(name string) ([]byte, error) {
	if plain, ok := g.plain[name]; ok {
		return plain, nil
	}
	return g.tree.readFile(name)
}

// encryptableFile is a file that may be encrypted, relative to its kustomization.
type encryptableFile struct {
	name   string
	format Format
}

// encryptable returns the files that may be encrypted: those of which Secrets are made, and patches.
// The key under which a file gets into a Secret says what its format is.
func encryptable(k *types.Kustomization) []encryptableFile {
	var files []encryptableFile
	add := func(name string, format, otherwise Format) {
		if format == Binary {
			format = otherwise
		}
		if name != "" {
			files = append(files, encryptableFile{name: name, format: format})
		}
	}
	for _, args := range k.SecretGenerator {
		for _, source := range args.FileSources {
			key, _, _ := strings.Cut(source, "=")
			add(fileOfSource(source), formatOf(key), Binary)
		}
		for _, name := range append(slices.Clone(args.EnvSources), args.EnvSource) {
			add(name, formatOf(name), Dotenv)
		}
	}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		add(p.Path, formatOf(p.Path), YAML)
	}
	for _, p := range k.PatchesStrategicMerge {
		if name := string(p); !strings.Contains(name, "\n") {
			add(name, formatOf(name), YAML)
		}
	}
	return files
}

// decryptObject decrypts an object that is encrypted as a whole or, in a Secret, the values that are.
func decryptObject(p *product, decrypter Decrypter) error {
	if decrypter == nil || isOptedOut(p.annotation(decryptKey)) {
		return nil
	}
	var err error
	switch {
	case p.field("sops", "mac") != "":
		var plain []byte
		if plain, err = decrypter.Decrypt(p.json, JSON, JSON); err == nil {
			err = p.set(plain)
		}
	case p.kind() == "Secret":
		err = decryptData(p, decrypter)
	}
	if err != nil {
		return fmt.Errorf("%w for '%s': %w", ErrDecrypt, p.name, err)
	}
	return nil
}

// decryptData decrypts values of a Secret. Generators put encrypted files there as they are if the
// key does not tell the format.
func decryptData(p *product, decrypter Decrypter) error {
	data, ok := p.values["data"].(map[string]any)
	if !ok {
		return nil
	}
	found := false
	for _, key := range slices.Sorted(maps.Keys(data)) {
		encoded, _ := data[key].(string)
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue // the API server says what is wrong
		}
		from := encryptedFormat(value)
		if from == "" {
			continue
		}
		plain, err := decrypter.Decrypt(value, from, formatOf(key))
		if err != nil {
			return fmt.Errorf("the Secret's key '%s': %w", key, err)
		}
		data[key] = base64.StdEncoding.EncodeToString(plain)
		found = true
	}
	if !found {
		return nil
	}
	content, err := json.Marshal(p.values)
	if err != nil {
		return err
	}
	return p.set(content)
}

// isEncryptedSecret says whether an object is a Secret that was to be decrypted.
func isEncryptedSecret(obj *unstructured.Unstructured) bool {
	return obj.GetKind() == "Secret" && obj.GetAPIVersion() == "v1" && obj.Object["sops"] != nil && !isOptedOut(obj.GetAnnotations()[decryptKey])
}

func isOptedOut(value string) bool { return strings.EqualFold(value, disabled) }
