package signature

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"
)

const (
	// sshExt ends the names of files with SSH keys.
	sshExt = ".sshpub"
	// dsa is a type of SSH keys whose signatures can be forged.
	dsa = "ssh-dss"
)

// Keys are the public keys whose signatures are trusted.
type Keys struct {
	pgp openpgp.EntityList
	ssh map[string]ssh.PublicKey // by their wire format

	// unreadable says what is wrong with files that could not be read. They matter
	// where no other has the key that is missing.
	unreadable []error
}

// ReadKeys reads public keys from files by their names: lists of SSH keys, a line each
// as in authorized_keys, from those that end in ".sshpub", and armored OpenPGP key rings
// from all others. The error is ErrNoKey if there is no key in any.
func ReadKeys(files map[string][]byte) (Keys, error) {
	k := Keys{ssh: make(map[string]ssh.PublicKey)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := k.read(name, files[name]); err != nil {
			k.unreadable = append(k.unreadable, fmt.Errorf("%q: %w", name, err))
		}
	}
	if len(k.pgp)+len(k.ssh) == 0 {
		return Keys{}, errors.Join(append([]error{ErrNoKey}, k.unreadable...)...)
	}
	return k, nil
}

func (k *Keys) read(name string, content []byte) error {
	if len(content) > maxFile {
		return fmt.Errorf("it has %d bytes, and the limit is %d", len(content), maxFile)
	}
	if strings.HasSuffix(name, sshExt) {
		return k.readSSH(content)
	}
	return k.readPGP(content)
}

// room reports an error if there are too many keys.
func (k *Keys) room() error {
	if len(k.pgp)+len(k.ssh) > maxKeys {
		return fmt.Errorf("there are more than %d keys", maxKeys)
	}
	return nil
}

// readPGP reads all the key rings in a file, one after the other.
func (k *Keys) readPGP(content []byte) error {
	r := bufio.NewReader(bytes.NewReader(content))
	for rings := 0; ; rings++ {
		block, err := armor.Decode(r)
		switch {
		case errors.Is(err, io.EOF) && rings > 0:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("it holds no armored OpenPGP key")
		case err != nil:
			return fmt.Errorf("it is no armored OpenPGP key: %w", err)
		case block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType: // which has the public one
			return fmt.Errorf("it holds a %s, which is no public key", block.Type)
		}
		ring, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return fmt.Errorf("its OpenPGP keys are not readable: %w", err)
		}
		k.pgp = append(k.pgp, ring...)
		if err := k.room(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, block.Body); err != nil {
			return fmt.Errorf("its armor is damaged: %w", err)
		}
	}
}

// readSSH reads a file of SSH keys. One that may be used only in some way is refused: the
// restriction would not be kept.
func (k *Keys) readSSH(content []byte) error {
	found := false
	for number, line := range strings.Split(string(content), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return fmt.Errorf("line %d is no SSH public key", number+1)
		}
		if option := restriction(options); option != "" {
			return fmt.Errorf("line %d has the option %q, which is not supported", number+1, option)
		}
		if _, isCert := key.(*ssh.Certificate); isCert || key.Type() == dsa {
			return fmt.Errorf("line %d has a key of type %s, which is not supported", number+1, key.Type())
		}
		k.ssh[string(key.Marshal())] = key
		found = true
		if err := k.room(); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("it holds no SSH public key")
	}
	return nil
}

// restriction returns an option that says when, for what or for whom a key counts.
func restriction(options []string) string {
	for _, option := range options {
		name, _, _ := strings.Cut(option, "=")
		switch strings.ToLower(name) {
		case "cert-authority", "namespaces", "valid-after", "valid-before", "expiry-time", "verify-required":
			return name
		}
	}
	return ""
}
