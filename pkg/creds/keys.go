package creds

// Keys of a Secret with credentials.
const (
	keyUsername     = "username"
	keyPassword     = "password"
	keyBearerToken  = "bearerToken"
	keyCA           = "ca.crt"
	keyLegacyCA     = "caFile"
	keyTLSCert      = "tls.crt"
	keyTLSKey       = "tls.key"
	keyLegacyCert   = "certFile"
	keyLegacyKey    = "keyFile"
	keyIdentity     = "identity"
	keyKnownHosts   = "known_hosts"
	keyAddress      = "address"
	keyGitHubAppID  = "githubAppID"
	basicAuthAdvice = "set both keys, or neither"
)

func hasAny(data map[string][]byte, keys ...string) bool {
	for _, key := range keys {
		if len(data[key]) > 0 {
			return true
		}
	}
	return false
}
