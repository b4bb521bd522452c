package installation

import (
	"context"

	"weir.dev/pkg/creds"
)

// CredentialsVariable is the variable of the environment that may have the credentials of
// the registry, which others can see if they are a flag.
const CredentialsVariable = "REGISTRY_CREDS"

// ReadCredentials has credentials of the registry that are not in the arguments be read by
// given, which gets the value of the flag, the name of the variable and what is meant. Those of
// the variable count if there is a Secret that they belong in.
func (f *Flags) ReadCredentials(ctx context.Context, given func(ctx context.Context, flag, variable, what string) (creds.Hidden, error)) error {
	secret, err := given(ctx, f.credentials, CredentialsVariable, "credentials of the registry")
	if err != nil {
		return err
	}
	f.incidental = f.credentials == ""
	f.credentials = secret.Reveal()
	return nil
}
