package creds

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// TLS is whom a client trusts, and how it proves itself. The zero value trusts the
// system's authorities, and shows nothing.
type TLS struct {
	CA []byte // PEM; trusted besides the system's

	// Legacy are the keys of the Secret that were read though they have newer names,
	// which whoever read the Secret may want to log.
	Legacy []string

	pair *tls.Certificate // behind a pointer for the reason that Hidden has
}

// NewTLS reads ca.crt, and tls.crt with tls.key, of which both or neither are there;
// or caFile, certFile and keyFile, which are the old names. secret names the Secret in
// errors.
func NewTLS(data map[string][]byte, secret string) (TLS, error) {
	t, err := parseTLS(data)
	if err != nil {
		return TLS{}, fmt.Errorf("secret '%s': %w", secret, err)
	}
	return t, nil
}

// parseTLS is NewTLS for whoever names the Secret.
func parseTLS(data map[string][]byte) (TLS, error) {
	var t TLS
	pick := func(key, legacy string) (string, []byte) {
		if len(data[key]) == 0 && len(data[legacy]) > 0 {
			t.Legacy = append(t.Legacy, legacy)
			return legacy, data[legacy]
		}
		return key, data[key]
	}
	caKey, ca := pick(keyCA, keyLegacyCA)
	certKey, keyKey := keyTLSCert, keyTLSKey
	if !hasAny(data, keyTLSCert, keyTLSKey) && hasAny(data, keyLegacyCert, keyLegacyKey) {
		// Half of a pair by either name is no pair with half of the other.
		certKey, keyKey = keyLegacyCert, keyLegacyKey
		t.Legacy = append(t.Legacy, keyLegacyCert, keyLegacyKey)
	}
	cert, key := data[certKey], data[keyKey]
	if len(ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return TLS{}, fmt.Errorf("the value of %q holds no PEM certificate", caKey)
	}
	t.CA = ca
	switch {
	case len(cert) == 0 && len(key) == 0:
		return t, nil
	case len(cert) == 0 || len(key) == 0:
		return TLS{}, fmt.Errorf("only one of the keys %q and %q has a value: a client certificate needs both", certKey, keyKey)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// The reason of crypto/tls may quote from a PEM block.
		return TLS{}, fmt.Errorf("the values of %q and %q are no PEM certificate with its private key", certKey, keyKey)
	}
	t.pair = &pair
	return t, nil
}

// Empty reports whether t differs in nothing from the zero value.
func (t TLS) Empty() bool { return len(t.CA) == 0 && t.pair == nil }

// Certificate reports whether there is a certificate to show to servers.
func (t TLS) Certificate() bool { return t.pair != nil }

// Expired returns when the certificate that is shown ended, if it did before now.
func (t TLS) Expired(now time.Time) (time.Time, bool) {
	if t.pair == nil || t.pair.Leaf == nil {
		return time.Time{}, false
	}
	end := t.pair.Leaf.NotAfter
	return end, now.After(end)
}

// Config returns the configuration of a client, which is the caller's to change.
func (t TLS) Config() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a system without authorities is no reason to trust fewer
		}
		pool.AppendCertsFromPEM(t.CA)
		config.RootCAs = pool
	}
	if t.pair != nil {
		config.Certificates = []tls.Certificate{*t.pair}
	}
	return config
}

// Fingerprint identifies what t trusts and shows without telling it: equal for equal
// values.
func (t TLS) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(t.CA), t.CA)
	if t.pair != nil {
		for _, cert := range t.pair.Certificate {
			fmt.Fprintf(h, "%d:%s", len(cert), cert)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Equal reports whether both trust and show the same.
func (t TLS) Equal(other TLS) bool {
	return t.Fingerprint() == other.Fingerprint() && slices.Equal(t.Legacy, other.Legacy)
}

// String hides the certificate.
func (t TLS) String() string { return "TLS settings" }

// GoString hides the certificate.
func (t TLS) GoString() string { return "creds.TLS{…}" }
