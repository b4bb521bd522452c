package decrypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// armorStart begins a key that is written as text.
const armorStart = "-----BEGIN PGP "

var errNoOpenPGP = errors.New("holds no OpenPGP keys")

// parseOpenPGP reads keys as gpg exports them, several one after another, too. Public keys are of no
// use, and no harm.
func (k *Keys) parseOpenPGP(value []byte) error {
	if !bytes.Contains(value, []byte(armorStart)) {
		return k.addOpenPGP(bytes.NewReader(value))
	}
	for _, block := range strings.Split(string(value), armorStart)[1:] {
		decoded, err := armor.Decode(strings.NewReader(armorStart + block))
		if err != nil || decoded.Type != openpgp.PrivateKeyType && decoded.Type != openpgp.PublicKeyType {
			return errNoOpenPGP
		}
		if err := k.addOpenPGP(decoded.Body); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keys) addOpenPGP(r io.Reader) error {
	ring, err := openpgp.ReadKeyRing(r)
	if err != nil || len(ring) == 0 {
		return errNoOpenPGP
	}
	for _, entity := range ring {
		if entity.PrivateKey != nil {
			k.pgp = append(k.pgp, entity)
		}
	}
	return nil
}

var errPassphrase = errors.New("the OpenPGP key is protected by a passphrase: export it without one")

// openOpenPGP decrypts a data key.
func (k Keys) openOpenPGP(message string) ([]byte, error) {
	if len(k.pgp) == 0 {
		return nil, errors.New("no OpenPGP keys are given")
	}
	block, err := armor.Decode(strings.NewReader(message))
	if err != nil {
		return nil, errors.New("the data key is no OpenPGP message")
	}
	locked := func([]openpgp.Key, bool) ([]byte, error) { return nil, errPassphrase }
	opened, err := openpgp.ReadMessage(block.Body, k.pgp, locked, &packet.Config{})
	switch {
	case errors.Is(err, errPassphrase):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("none of the %d OpenPGP keys that are given opens the data key", len(k.pgp))
	}
	return readDataKey(opened.UnverifiedBody)
}
