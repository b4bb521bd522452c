package decrypt

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/getsops/sops/v3/hcvault"
	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/build"
	"weir.dev/pkg/creds"
)

// jwtOf returns a token about somebody, for an audience.
func jwtOf(subject string) func(context.Context, string) (creds.Hidden, error) {
	return func(_ context.Context, audience string) (creds.Hidden, error) {
		return creds.Hide("head." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub": "`+subject+`", "aud": "`+audience+`"}`)) + ".jwt-value"), nil
	}
}

func TestVaultLogin(t *testing.T) {
	t.Parallel()
	const address = "https://vault.example.com:8200"
	logins, err := ParseVaultLogins([]byte("instances:\n- address: " + address + "\n  loginPath: auth/kubernetes/login\n"))
	if err != nil {
		t.Fatal(err)
	}
	const me = "system:serviceaccount:team:robot"
	tests := map[string]struct {
		address string
		jwt     func(context.Context, string) (creds.Hidden, error)
		fail    int
		want    string
		asked   []string
	}{
		"logs in once":   {address: address, jwt: jwtOf(me), asked: []string{"vault.example.com:8200 /v1/auth/kubernetes/login team_robot for " + address, "vault.example.com:8200 /v1/transit/decrypt/k login-value", "vault.example.com:8200 /v1/transit/decrypt/k login-value"}},
		"another Vault":  {address: "https://evil.example.com", jwt: jwtOf(me), want: "no login is configured for its address"},
		"longer address": {address: address + "/", jwt: jwtOf(me), want: "no login is configured for its address"},
		"no token": {address: address, jwt: func(context.Context, string) (creds.Hidden, error) {
			return creds.Hidden{}, errors.New("no such account")
		}, want: "getting a token of Kubernetes: no such account"},
		"no account":      {address: address, jwt: jwtOf("system:node:n"), want: errToken.Error()},
		"half an account": {address: address, jwt: jwtOf("system:serviceaccount:team"), want: errToken.Error()},
		"refused": {
			address: address, jwt: jwtOf(me), fail: 403, want: `logging in at auth/kubernetes/login as team_robot: the Vault refuses: HTTP status 403, ["permission denied"]`,
			asked: []string{"vault.example.com:8200 /v1/auth/kubernetes/login team_robot for " + address},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClouds(t)
			c.fail = tc.fail
			document := encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(hcvault.NewMasterKey(tc.address, "transit", "k")))
			d := newDecrypter(t.Context(), Keys{}, Options{VaultToken: logins.token(tc.jwt, c.network)}, c.network)
			_, err := d.Decrypt(document, build.YAML, build.YAML)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				_, err = d.Decrypt(document, build.YAML, build.YAML)
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.HasSuffix(err.Error(), ": "+tc.want) {
				t.Errorf("Decrypt() = %v; want %s", err, tc.want)
			}
			if diff := cmp.Diff(tc.asked, c.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseVaultLogins(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		"":                                     "",
		"instances: []":                        "",
		"instances: [{address: https://a}]":    "instances[0] of the list of Vaults lacks address or loginPath",
		"instances: [{loginPath: auth/login}]": "instances[0] of the list of Vaults lacks address or loginPath",
	} {
		if _, err := ParseVaultLogins([]byte(config)); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v; want %s", config, err, want)
		}
	}
	if _, err := ParseVaultLogins([]byte("instances: 1")); err == nil {
		t.Error("a number is taken for a list")
	}
}
