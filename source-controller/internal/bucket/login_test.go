package bucket

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/oauth2"

	"weir.dev/pkg/creds"
	"weir.dev/source-controller/internal/bucket/azure"
	"weir.dev/source-controller/internal/bucket/buckettest"
	"weir.dev/source-controller/internal/bucket/gcs"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/bucket/s3"
)

func pairs(kv ...string) map[string][]byte {
	m := make(map[string][]byte)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = []byte(kv[i+1])
	}
	return m
}

// TestAzureSecret: which ways of logging in a Secret can hold.
func TestAzureSecret(t *testing.T) {
	t.Parallel()
	pem := buckettest.Certificate(t)
	tests := map[string]struct {
		why  string
		data map[string][]byte
		says string // of the error; empty: there is none
	}{
		"account key":           {data: pairs("accountKey", "c2VjcmV0")},
		"sas key":               {data: pairs("sasKey", "?sv=1&sig=x")},
		"client secret":         {data: pairs("tenantId", "t", "clientId", "c", "clientSecret", "s")},
		"client certificate":    {data: pairs("tenantId", "t", "clientId", "c", "clientCertificate", pem)},
		"with its chain":        {data: pairs("tenantId", "t", "clientId", "c", "clientCertificate", pem, "clientCertificateSendChain", "1")},
		"managed identity":      {why: "of the client id", data: pairs("clientId", "c")},
		"another authority":     {data: pairs("tenantId", "t", "clientId", "c", "clientSecret", "s", "authorityHost", "https://login.example.com")},
		"authority alone":       {why: "the identity is the controller's", data: pairs("authorityHost", "https://login.example.com")},
		"nothing":               {data: pairs(), says: "needs one of"},
		"others":                {data: pairs("accesskey", "a", "secretkey", "b"), says: "needs one of"},
		"tenant alone":          {data: pairs("tenantId", "t"), says: "needs one of"},
		"empty values":          {data: pairs("accountKey", "", "sasKey", ""), says: "needs one of"},
		"bad certificate":       {data: pairs("tenantId", "t", "clientId", "c", "clientCertificate", "pem-value"), says: `"clientCertificate"`},
		"bad authority":         {data: pairs("clientId", "c", "authorityHost", "http://login.example.com"), says: `"authorityHost"`},
		"authority with a user": {data: pairs("clientId", "c", "authorityHost", "https://me:pw-value@login.example.com"), says: `"authorityHost"`},
		"bad sas key":           {data: pairs("sasKey", "sig=%zz-value"), says: `"sasKey"`},
		"account and client":    {why: "the client counts, and is whole", data: pairs("tenantId", "t", "clientId", "c", "clientSecret", "s", "accountKey", "x")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := azure.FromSecret(tc.data, transport().Client())
			switch {
			case tc.says == "" && err != nil:
				t.Errorf("%v (%s)", err, tc.why)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "-value")):
				t.Errorf("%v; want an error that says %q, and no value", err, tc.says)
			}
		})
	}
}

func TestAzureBadAccountKey(t *testing.T) {
	t.Parallel()
	login, err := azure.FromSecret(pairs("accountKey", "no base64!"), transport().Client())
	if err != nil {
		t.Fatal(err)
	}
	_, err = azure.Open(azure.Options{Endpoint: "https://account.blob.core.windows.net", Container: "c", Login: login, Transport: transport()})
	if err == nil || !strings.Contains(err.Error(), `"accountKey"`) || strings.Contains(err.Error(), "base64!") {
		t.Errorf("%v; want an error that names the key, and not its value", err)
	}
}

func TestAzureSignedURL(t *testing.T) {
	t.Parallel()
	server := buckettest.StartAzure(t, bucketName)
	server.Put("a", "content")
	server.PutEncoded("folder", "", "directory")
	server.Allow(func(r *http.Request) bool {
		return r.URL.Query().Get("sig") == "sig+value" && r.Header.Get("Authorization") == ""
	})
	login, err := azure.FromSecret(pairs("sasKey", "?sv=2020&sig=sig%2Bvalue\n"), transport().Client())
	if err != nil {
		t.Fatal(err)
	}
	b, err := azure.Open(azure.Options{Endpoint: server.URL() + "/", Container: bucketName, Login: login, Transport: transport()})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := listing(t.Context(), b, "")
	if err != nil || len(listed) != 1 {
		t.Fatalf("List: %v, %v; want the blob, and not the folder", listed, err)
	}
	var content bytes.Buffer
	if _, err := b.Get(t.Context(), listed["a"], &content, 100); err != nil || content.String() != "content" {
		t.Errorf("Get: %q, %v", &content, err)
	}
	server.Allow(func(*http.Request) bool { return false })
	_, err = listing(t.Context(), b, "")
	if err == nil || strings.Contains(err.Error(), "sig") || !strings.Contains(err.Error(), "AuthenticationFailed") {
		t.Errorf("refused: %v; want the code of the server, and no signature", err)
	}
}

// credential is a token as a credential.
type credential string

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(c)}, nil
}

// TestIdentitiesStayInTheirCloud: the identity of a controller lets in to more than one
// tenant's bucket, so that no tenant may choose who gets to see it.
func TestIdentitiesStayInTheirCloud(t *testing.T) {
	t.Parallel()
	token := gcs.Identity(func(context.Context) (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "x"}, nil })
	for endpoint, want := range map[string]bool{
		"storage.googleapis.com": true, "storage.europe-west3.rep.googleapis.com:443": true, "x.p.googleapis.com": true,
		"evil.example.com": false, "evilgoogleapis.com": false, "storage.googleapis.com.example.com": false, "storage.googleapis.com@example.com": false,
	} {
		_, err := gcs.Open(gcs.Options{Endpoint: endpoint, Bucket: "b", Login: token, Transport: transport()})
		if (err == nil) != want || err != nil && !errors.Is(err, objects.ErrInvalid) {
			t.Errorf("Google at %q: %v; want it to be fine: %t", endpoint, err, want)
		}
	}
	if _, err := gcs.Open(gcs.Options{Endpoint: "storage.googleapis.com", Insecure: true, Bucket: "b", Login: token, Transport: transport()}); err == nil {
		t.Error("a token goes over plain HTTP")
	}
	for endpoint, want := range map[string]bool{
		"https://account.blob.core.windows.net": true, "https://account.z01.blob.storage.azure.net": true, "https://a.blob.core.usgovcloudapi.net/": true,
		"https://evil.example.com": false, "https://core.windows.net.example.com": false, "http://account.blob.core.windows.net": false,
		"https://account.blob.core.windows.net@example.com": false,
	} {
		_, err := azure.Open(azure.Options{Endpoint: endpoint, Container: "c", Login: azure.Identity(credential("x")), Transport: transport()})
		if (err == nil) != want || err != nil && !errors.Is(err, objects.ErrInvalid) {
			t.Errorf("Azure at %q: %v; want it to be fine: %t", endpoint, err, want)
		}
	}
}

// TestGoogleKeys: what could name files and addresses of the controller is refused.
func TestGoogleKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "key-value", "{}", `{"type":"service_account"}`, `{"type":"authorized_user","refresh_token":"key-value"}`,
		`{"type":"external_account","credential_source":{"file":"/etc/passwd"},"token_url":"https://example.com"}`,
	} {
		if _, err := gcs.ServiceAccount([]byte(key), transport().Client()); err == nil || strings.Contains(err.Error(), "key-value") {
			t.Errorf("%s: %v; want an error without values", key, err)
		}
	}
}

// TestGoogleDecompresses: what is stored compressed, and says so, is meant as it was.
func TestGoogleDecompresses(t *testing.T) {
	t.Parallel()
	server := buckettest.StartGCS(t, bucketName)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	server.PutEncoded("a", packed.String(), "gzip")
	login, err := gcs.ServiceAccount([]byte(server.Key(t)), transport().Client())
	if err != nil {
		t.Fatal(err)
	}
	b, err := gcs.Open(gcs.Options{Endpoint: server.Host, Bucket: bucketName, Insecure: true, Login: login, Transport: transport()})
	if err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer
	if _, err := b.Get(t.Context(), objects.Object{Key: "a"}, &content, 100); err != nil || content.String() != "content" {
		t.Errorf("Get: %q, %v; want it uncompressed", &content, err)
	}
}

func TestLDAP(t *testing.T) {
	t.Parallel()
	server := buckettest.StartS3(t, bucketName)
	server.Allow("key-1")
	sts := buckettest.StartSTS(t, "me", "pw&value", "key-1")
	open := func(password string) storage {
		user := creds.Basic{Username: creds.Hide("me"), Password: creds.Hide(password)}
		b, err := s3.Open(s3.Options{
			Endpoint: server.Host, Bucket: bucketName, Region: "us-east-1", Insecure: true, Transport: transport(),
			Login: s3.LDAP("http://"+sts.Host, user, transport().Client()),
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open("pw&value")
	for range 2 {
		if _, err := listing(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := sts.Count()["token"]; n != 1 {
		t.Errorf("the token service was asked %d times; want once", n)
	}
	_, err := listing(t.Context(), open("wrong&value"), "")
	if err == nil || !strings.Contains(err.Error(), "token service") || strings.Contains(err.Error(), "value") {
		t.Errorf("a wrong password: %v; want an error that does not tell it", err)
	}
	sts.Break(func(_ buckettest.Request, w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte("<AssumeRoleWithLDAPIdentityResponse/>"))
		return true
	})
	server.Reset()
	if _, err := listing(t.Context(), open("pw&value"), ""); err == nil || len(server.Requests()) != 0 {
		t.Errorf("an answer without keys: %v, and %d requests go unsigned; want an error, and none", err, len(server.Requests()))
	}
	other := buckettest.StartSTS(t, "me", "pw&value", "key-1")
	sts.Break(func(_ buckettest.Request, w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://"+other.Host, http.StatusTemporaryRedirect)
		return true
	})
	if _, err := listing(t.Context(), open("pw&value"), ""); err == nil || len(other.Requests()) != 0 {
		t.Errorf("a redirect: %v, and %d requests follow it; want an error, and none", err, len(other.Requests()))
	}
}

func TestInvalidBuckets(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"S3 by a URL":       second(s3.Open(s3.Options{Endpoint: "https://example.com", Bucket: "bucket", Login: s3.Anonymous(), Transport: transport()})),
		"S3 with a path":    second(s3.Open(s3.Options{Endpoint: "example.com/path", Bucket: "bucket", Login: s3.Anonymous(), Transport: transport()})),
		"S3, nothing":       second(s3.Open(s3.Options{Endpoint: "", Bucket: "bucket", Login: s3.Anonymous(), Transport: transport()})),
		"S3, bad bucket":    second(s3.Open(s3.Options{Endpoint: "example.com", Bucket: "a/../b", Login: s3.Anonymous(), Transport: transport()})),
		"Google by a URL":   second(gcs.Open(gcs.Options{Endpoint: "https://example.com", Bucket: "b", Transport: transport()})),
		"Google, path":      second(gcs.Open(gcs.Options{Endpoint: "example.com/x", Bucket: "b", Transport: transport()})),
		"Google, user":      second(gcs.Open(gcs.Options{Endpoint: "me@example.com", Bucket: "b", Transport: transport()})),
		"Google, bad":       second(gcs.Open(gcs.Options{Endpoint: "example.com", Bucket: "a/b", Transport: transport()})),
		"Azure, no URL":     second(azure.Open(azure.Options{Endpoint: "example.com", Container: "b", Transport: transport()})),
		"Azure, file":       second(azure.Open(azure.Options{Endpoint: "file:///etc", Container: "b", Transport: transport()})),
		"Azure, user":       second(azure.Open(azure.Options{Endpoint: "https://me:pw@example.com", Container: "b", Transport: transport()})),
		"Azure, bad bucket": second(azure.Open(azure.Options{Endpoint: "https://example.com", Container: "a/b", Transport: transport()})),
	} {
		if !errors.Is(err, objects.ErrInvalid) {
			t.Errorf("%s: %v; want ErrInvalid", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
