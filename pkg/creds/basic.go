package creds

import "fmt"

// Basic is a user name and a password. The zero value is anonymous.
type Basic struct{ Username, Password Hidden }

// NewBasic reads username and password, of which both or neither are there. secret
// names the Secret in errors.
func NewBasic(data map[string][]byte, secret string) (Basic, error) {
	b, err := parseBasic(data)
	if err != nil {
		return Basic{}, fmt.Errorf("secret '%s': %w", secret, err)
	}
	return b, nil
}

// parseBasic is NewBasic for whoever names the Secret.
func parseBasic(data map[string][]byte) (Basic, error) {
	b := Basic{Username: Hide(string(data[keyUsername])), Password: Hide(string(data[keyPassword]))}
	if b.Username.Empty() != b.Password.Empty() {
		return Basic{}, fmt.Errorf("only one of the keys %q and %q has a value: %s", keyUsername, keyPassword, basicAuthAdvice)
	}
	return b, nil
}

// Empty reports whether there is nobody to log in.
func (b Basic) Empty() bool { return b.Username.Empty() && b.Password.Empty() }
