package decrypt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	vault "github.com/hashicorp/vault/api"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/creds"
)

// VaultLogins are the Vaults at which ServiceAccounts may log in: paths of login by address. No
// others are shown a token.
type VaultLogins map[string]string

// ParseVaultLogins reads the configuration of an operator:
//
//	instances:
//	- address: https://vault.example.com:8200
//	  loginPath: auth/kubernetes/login
func ParseVaultLogins(config []byte) (VaultLogins, error) {
	var list struct {
		Instances []struct{ Address, LoginPath string }
	}
	if err := yaml.Unmarshal(config, &list); err != nil {
		return nil, fmt.Errorf("the list of Vaults cannot be read: %w", err)
	}
	logins := make(VaultLogins, len(list.Instances))
	for i, instance := range list.Instances {
		if instance.Address == "" || instance.LoginPath == "" {
			return nil, fmt.Errorf("instances[%d] of the list of Vaults lacks address or loginPath", i)
		}
		logins[instance.Address] = instance.LoginPath
	}
	return logins, nil
}

// Token returns an Options.VaultToken that logs in with tokens of a ServiceAccount, which jwt returns
// for an audience: the address of the Vault. The role is <namespace>_<name>. It logs in once at each
// Vault.
func (l VaultLogins) Token(jwt func(ctx context.Context, audience string) (creds.Hidden, error)) func(context.Context, string) (creds.Hidden, error) {
	return l.token(jwt, network{})
}

func (l VaultLogins) token(jwt func(context.Context, string) (creds.Hidden, error), n network) func(context.Context, string) (creds.Hidden, error) {
	var mu sync.Mutex
	given := map[string]creds.Hidden{}
	return func(ctx context.Context, address string) (creds.Hidden, error) {
		mu.Lock()
		defer mu.Unlock()
		if token, ok := given[address]; ok {
			return token, nil
		}
		path := l[address]
		if path == "" {
			return creds.Hidden{}, errors.New("no login is configured for its address")
		}
		account, err := jwt(ctx, address)
		if err != nil {
			return creds.Hidden{}, fmt.Errorf("getting a token of Kubernetes: %w", err)
		}
		role, err := roleOf(account.Reveal())
		if err != nil {
			return creds.Hidden{}, err
		}
		token, err := login(ctx, n, address, path, role, account)
		if err != nil {
			return creds.Hidden{}, fmt.Errorf("logging in at %s as %s: %w", path, role, stable(err))
		}
		given[address] = token
		return token, nil
	}
}

var errToken = errors.New("the token of Kubernetes is none of a ServiceAccount")

// roleOf returns the role of Vault for whom a token is about.
func roleOf(jwt string) (string, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "", errToken
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errToken
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", errToken
	}
	account, ok := strings.CutPrefix(claims.Sub, "system:serviceaccount:")
	namespace, name, both := strings.Cut(account, ":")
	if !ok || !both || namespace == "" || name == "" {
		return "", errToken
	}
	return namespace + "_" + name, nil
}

func login(ctx context.Context, n network, address, path, role string, jwt creds.Hidden) (creds.Hidden, error) {
	config := vault.DefaultConfig()
	config.Address, config.HttpClient = address, n.vaultClient()
	client, err := vault.NewClient(config)
	if err != nil {
		return creds.Hidden{}, errors.New("the address of the Vault, or its settings in the environment, are malformed")
	}
	client.ClearToken() // of the environment
	secret, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"role": role, "jwt": jwt.Reveal()})
	if err != nil {
		return creds.Hidden{}, err
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return creds.Hidden{}, errors.New("the Vault gives no token")
	}
	return creds.Hide(secret.Auth.ClientToken), nil
}
