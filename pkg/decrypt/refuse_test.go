package decrypt

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"

	"weir.dev/pkg/build"
	"weir.dev/pkg/creds"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	k, key := ageKey(t)
	other, foreign := ageKey(t)
	recipient := foreign.ToString()
	good := string(encrypt(t, build.YAML, "a: hunter2\nb: other\n", sealer{}, group(key)))
	by := func(key keys.MasterKey) string {
		return string(encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(key)))
	}
	lines := strings.SplitAfter(good, "\n")
	swapped := strings.Replace(lines[1], "b:", "a:", 1) + strings.Replace(lines[0], "a:", "b:", 1) + strings.Join(lines[2:], "")
	huawei, err := hckms.NewMasterKey("eu-west-1:abc")
	if err != nil {
		t.Fatal(err)
	}
	const noKey = "cannot get sops data key: "
	tests := map[string]struct {
		document string
		from     build.Format
		keys     Keys
		opts     Options
		fail     int
		want     string
	}{
		"no keys":           {document: by(foreign), want: noKey + "age key " + recipient + ": no age identities are given"},
		"other keys":        {document: by(foreign), keys: k, want: noKey + "age key " + recipient + ": none of the 1 age identities that are given opens the data key"},
		"no token":          {document: by(hcvault.NewMasterKey("https://vault.example.com", "transit", "k")), want: noKey + "Vault key https://vault.example.com/v1/transit/keys/k: no token of Vault is given"},
		"no credentials":    {document: by(kms.NewMasterKey(arn, "", nil)), want: noKey + "AWS key " + arn + ": no credentials for it are given, and no identity of a cloud is used"},
		"no identity":       {document: by(gcpkms.NewMasterKeyFromResourceID(resource)), opts: Options{Identities: identities{err: errors.New("no such account")}}, want: noKey + "Google key " + resource + ": no such account"},
		"no login":          {document: by(hcvault.NewMasterKey("https://vault.example.com", "transit", "k")), opts: Options{VaultToken: func(context.Context, string) (creds.Hidden, error) { return creds.Hidden{}, errors.New("not allowed") }}, want: noKey + "Vault key https://vault.example.com/v1/transit/keys/k: not allowed"},
		"Huawei":            {document: by(huawei), want: noKey + "key of another kind: such keys are not supported"},
		"AWS refuses":       {document: by(kms.NewMasterKey(arn, "", nil)), opts: Options{Identities: identities{}}, fail: 400, want: noKey + "AWS key " + arn + ": AWS refuses: AccessDeniedException: not for you"},
		"Azure refuses":     {document: by(azkv.NewMasterKey("https://v.vault.azure.net", "k", "1")), opts: Options{Identities: identities{}}, fail: 403, want: noKey + "Azure key https://v.vault.azure.net/keys/k/1: Azure refuses (HTTP status 403)"},
		"Google refuses":    {document: by(gcpkms.NewMasterKeyFromResourceID(resource)), opts: Options{Identities: identities{}}, fail: 403, want: noKey + "Google key " + resource + ": Google refuses (HTTP status 403)"},
		"Vault refuses":     {document: by(hcvault.NewMasterKey("https://vault.example.com", "transit", "k")), keys: parsed(t, "sops.vault-token", "t"), fail: 403, want: noKey + `Vault key https://vault.example.com/v1/transit/keys/k: the Vault refuses: HTTP status 403, ["permission denied"]`},
		"malformed ARN":     {document: by(kms.NewMasterKey("arn:x", "", nil)), want: noKey + "AWS key arn:x: the ARN of the key is malformed"},
		"not encrypted":     {document: "a: hunter2\n", keys: k, want: "the document is not encrypted by SOPS: it has no metadata of it as yaml"},
		"no YAML":           {document: "a: *hunter2\n", keys: k, want: "the document is no YAML"},
		"no JSON":           {document: "{hunter2", from: build.JSON, keys: k, want: "the document is no JSON, which it must be as json"},
		"unencrypted value": {document: "c: hunter2\n" + good, keys: k, want: "error decrypting sops tree: a value is not encrypted that should be, by the rules in the metadata of SOPS"},
		"number":            {document: "c: 1\n" + good, keys: k, want: "error decrypting sops tree: a value is not what SOPS writes"},
		"moved values":      {document: swapped, keys: k, want: "error decrypting sops tree: a value does not belong to the data key, or was moved within the document"},
		"broken metadata":   {document: strings.Replace(good, "lastmodified:", "lastmodified: hunter2 #", 1), keys: k, want: "the document cannot be read as yaml, or not its metadata of SOPS"},
		"unknown format":    {document: good, from: "toml", keys: k, want: "toml cannot be decrypted to yaml"},
		"many keys told":    {document: string(encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(slices.Repeat([]keys.MasterKey{huawei}, 7)...))), want: noKey + strings.Repeat("key of another kind: such keys are not supported; ", 5) + "and 2 more"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClouds(t)
			c.fail = tc.fail
			if tc.from == "" {
				tc.from = build.YAML
			}
			_, err := newDecrypter(t.Context(), tc.keys, tc.opts, c.network).Decrypt([]byte(tc.document), tc.from, build.YAML)
			if err == nil || err.Error() != tc.want {
				t.Errorf("Decrypt() = %v\nwant %s", err, tc.want)
			}
		})
	}
	if err, want := (&attempt{}).failed(), "the document names no keys, or fewer groups of them than it needs"; err.Error() != want {
		t.Errorf("without keys: %v; want %s", err, want)
	}
	if _, err := New(t.Context(), other, Options{}).Decrypt([]byte(by(foreign)), build.YAML, build.Binary); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("as binary: %v", err)
	}
}

// Each of these takes the process, or its time, if SOPS gets to see it.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	k, key := ageKey(t)
	good := string(encrypt(t, build.YAML, "a: hunter2\n", sealer{}, group(key)))
	crowd := make([]sops.KeyGroup, maxGroups+1)
	for i := range crowd {
		crowd[i] = sops.KeyGroup{key}
	}
	pattern := group(key)
	pattern.EncryptedRegex = strings.Repeat("a|", maxPattern)
	tests := map[string]struct {
		document string
		from     build.Format
		want     string
	}{
		"alias of itself": {document: "x: &x\n    y: *x\n" + good, from: build.YAML, want: "alias"},
		"alias":           {document: good + "---\nx: &x 1\ny: *x\n", from: build.YAML, want: "alias"},
		"depth":           {document: `{"a": ` + strings.Repeat("[", 1<<20), from: build.JSON, want: "no JSON"},
		"depth, closed":   {document: `{"a": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", from: build.Binary, want: "no JSON"},
		"depth of YAML":   {document: "a: " + strings.Repeat("[", 1<<20), from: build.YAML, want: "no YAML"},
		"size":            {document: strings.Repeat("#", maxDocument+1), from: build.YAML, want: "more than the limit"},
		"groups":          {document: string(encrypt(t, build.JSON, `{"a": "hunter2"}`, sealer{}, sops.Metadata{KeyGroups: crowd, ShamirThreshold: 2})), from: build.JSON, want: "21 keys in 21 groups"},
		"keys":            {document: string(encrypt(t, build.JSON, `{"a": "hunter2"}`, sealer{}, group(slices.Repeat([]keys.MasterKey{kms.NewMasterKey(arn, "", nil)}, maxKeys+1)...))), from: build.JSON, want: "101 keys in 1 groups"},
		"pattern":         {document: string(encrypt(t, build.JSON, `{"a": "hunter2"}`, sealer{}, pattern)), from: build.JSON, want: "regular expression"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(t.Context(), k, Options{}).Decrypt([]byte(tc.document), tc.from, build.YAML)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Decrypt() = %v; want %s", err, tc.want)
			}
		})
	}
}

// What is told of a service that cannot be reached is the same each time.
func TestStable(t *testing.T) {
	t.Parallel()
	for _, port := range []int{1, 2} {
		local, remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
		err := &url.Error{Op: "Post", URL: "https://example.com", Err: &net.OpError{Op: "read", Net: "tcp", Source: local, Addr: remote, Err: io.ErrUnexpectedEOF}}
		if got, want := stable(err).Error(), "read 127.0.0.1:443: unexpected EOF"; got != want {
			t.Errorf("from port %d: %q; want %q", port, got, want)
		}
	}
}
