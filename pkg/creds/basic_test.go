package creds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
)

func TestBasic(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data map[string][]byte
		want creds.Basic
	}{
		"both":    {data: data("username", "me", "password", "pw"), want: creds.Basic{Username: creds.Hide("me"), Password: creds.Hide("pw")}},
		"neither": {data: data("token", "x")},
		"empty":   {data: data("username", "", "password", "")},
	} {
		got, err := creds.NewBasic(tc.data, "ns/name")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Empty() != tc.want.Username.Empty() {
			t.Errorf("%s: Empty() = %v", name, got.Empty())
		}
	}
	for name, half := range map[string]map[string][]byte{
		"user alone":     data("username", "user-value"),
		"password alone": data("password", "pw-value"),
		"empty password": data("username", "user-value", "password", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := creds.NewBasic(half, "ns/name")
			refused(t, err, half, "secret 'ns/name'", `"username"`, `"password"`)
		})
	}
}
