package bucket

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/fluxcd/pkg/apis/meta"
	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/source-controller/internal/bucket/buckettest"
)

// identities hand out one key, and count who asks.
type identities struct {
	key    string
	life   time.Duration
	err    error
	asked  int
	region string
	sts    string
	who    cloud.Object
}

func (i *identities) S3(_ context.Context, o cloud.Object, region, endpoint string, _ creds.Proxy) (cloud.Keys, error) {
	i.asked++
	i.who, i.region, i.sts = o, region, endpoint
	return cloud.Keys{Access: creds.Hide(i.key), Secret: creds.Hide("secret"), Session: creds.Hide("session of " + i.key), Ends: time.Now().Add(i.life)}, i.err
}

func (i *identities) GCS(_ context.Context, o cloud.Object, _ creds.Proxy) (oauth2.TokenSource, error) {
	i.who = o
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: i.key}), i.err
}

func (i *identities) Blobs(o cloud.Object, _ creds.Proxy) (azcore.TokenCredential, error) {
	i.who = o
	return credential(i.key), i.err
}

func (i *identities) Forget(cloud.Object) {}

func ofProvider(p sourcev1.BucketProvider, endpoint string) *sourcev1.Bucket {
	return &sourcev1.Bucket{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "fleet", UID: "1"},
		Spec:       sourcev1.BucketSpec{Provider: p, BucketName: bucketName, Endpoint: endpoint, Insecure: true, ServiceAccountName: "me"},
	}
}

// TestAmazonIdentity: keys that are handed out let in, and others are noticed.
func TestAmazonIdentity(t *testing.T) {
	t.Parallel()
	server := buckettest.StartS3(t, bucketName)
	server.Put("a", "content")
	server.Allow("key-1")
	ids := &identities{key: "key-1", life: time.Hour}
	r := &Reconciler{identities: ids}
	b := ofProvider(sourcev1.BucketProviderAWS, server.Host)
	b.Spec.Region = "eu-west-1"
	b.Spec.STS = &sourcev1.BucketSTSSpec{Provider: sourcev1.STSProviderAWS, Endpoint: "https://sts.example.com"}
	connect := func() *connection {
		t.Helper()
		a, err := r.access(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := r.connections.get(b.UID, a.fingerprint(), func() (*connection, error) { return r.open(a) })
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := connect()
	for range 3 {
		if listed, err := listing(t.Context(), first, ""); err != nil || len(listed) != 1 {
			t.Fatalf("%v, %v; want the object", listed, err)
		}
	}
	if ids.asked != 2 {
		t.Errorf("keys were asked for %d times; want once to know them, and once to use them", ids.asked)
	}
	want := cloud.Object{Kind: "Bucket", Namespace: "ns", Name: "fleet", ServiceAccount: "me"}
	if ids.who != want || ids.region != "eu-west-1" || ids.sts != "https://sts.example.com" {
		t.Errorf("asked for %+v, region %q, at %q", ids.who, ids.region, ids.sts)
	}
	if connect() != first {
		t.Error("the same keys make another connection")
	}
	ids.key = "key-2"
	server.Allow("key-2")
	second := connect()
	if second == first {
		t.Error("other keys are not noticed")
	}
	if _, err := listing(t.Context(), second, ""); err != nil {
		t.Error(err)
	}
}

// TestAmazonKeysThatEnd: they are replaced within a run, too.
func TestAmazonKeysThatEnd(t *testing.T) {
	t.Parallel()
	server := buckettest.StartS3(t, bucketName)
	ids := &identities{key: "key-1", life: time.Second} // which is as good as none
	r := &Reconciler{identities: ids}
	conn, err := r.open(access{bucket: ofProvider(sourcev1.BucketProviderAWS, server.Host)})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key-1", "key-2"} {
		ids.key = key
		server.Allow(key)
		if _, err := listing(t.Context(), conn, ""); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestIdentityIsToldByWhatItIs(t *testing.T) {
	t.Parallel()
	for _, p := range []sourcev1.BucketProvider{sourcev1.BucketProviderAWS, sourcev1.BucketProviderGCP, sourcev1.BucketProviderAzure} {
		prints := make(map[string]bool)
		for _, key := range []string{"key-1", "key-2", "key-1"} {
			r := &Reconciler{identities: &identities{key: key}}
			a, err := r.access(t.Context(), ofProvider(p, "example.com"))
			if err != nil {
				t.Fatal(err)
			}
			prints[a.fingerprint()] = true
		}
		if len(prints) != 2 {
			t.Errorf("%s: two identities have %d fingerprints", p, len(prints))
		}
		cause := errors.New("no token")
		r := &Reconciler{identities: &identities{err: cause}}
		if _, err := r.access(t.Context(), ofProvider(p, "example.com")); !errors.Is(err, cause) {
			t.Errorf("%s: %v; want the error of who hands out identities", p, err)
		}
	}
}

// TestFingerprint: whatever a connection is made of makes another.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := func() access {
		return access{bucket: ofProvider(sourcev1.BucketProviderGeneric, "example.com"), secret: pairs("accesskey", "a", "secretkey", "b")}
	}
	changes := map[string]func(*access){
		"nothing":       func(*access) {},
		"provider":      func(a *access) { a.bucket.Spec.Provider = sourcev1.BucketProviderAWS },
		"bucket":        func(a *access) { a.bucket.Spec.BucketName = "other" },
		"endpoint":      func(a *access) { a.bucket.Spec.Endpoint = "other" },
		"region":        func(a *access) { a.bucket.Spec.Region = "other" },
		"insecure":      func(a *access) { a.bucket.Spec.Insecure = false },
		"account":       func(a *access) { a.bucket.Spec.ServiceAccountName = "other" },
		"secret":        func(a *access) { a.secret["secretkey"] = []byte("c") },
		"another key":   func(a *access) { a.secret["sasKey"] = []byte("c") },
		"no secret":     func(a *access) { a.secret = nil },
		"empty secret":  func(a *access) { a.secret = pairs() },
		"trust":         func(a *access) { a.trust.CA = []byte("ca") },
		"sts trust":     func(a *access) { a.stsTrust.CA = []byte("ca") },
		"sts":           func(a *access) { a.bucket.Spec.STS = &sourcev1.BucketSTSSpec{Endpoint: "x"} },
		"another sts":   func(a *access) { a.bucket.Spec.STS = &sourcev1.BucketSTSSpec{Endpoint: "y"} },
		"user":          func(a *access) { a.user.Username = creds.Hide("x") },
		"password":      func(a *access) { a.user.Password = creds.Hide("x") },
		"identity":      func(a *access) { a.identity = "x" },
		"moved a value": func(a *access) { a.secret = pairs("accesskey", "ab", "secretkey", "") },
	}
	seen := make(map[string]string)
	for name, change := range changes {
		a := base()
		change(&a)
		f := a.fingerprint()
		if other, ok := seen[f]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[f] = name
	}
	a, b := base(), base()
	if a.fingerprint() != b.fingerprint() {
		t.Error("equal accesses have different fingerprints")
	}
}

func TestConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	var c connections
	closed := 0
	open := func() (*connection, error) { return &connection{close: func() { closed++ }}, nil }
	first, _ := c.get("1", "a", open)
	again, _ := c.get("1", "a", open)
	if first != again || closed != 0 {
		t.Errorf("the same connection: %t, closed %d times; want it kept open", first == again, closed)
	}
	if _, err := c.get("1", "b", open); err != nil || closed != 1 {
		t.Errorf("another: %v, closed %d times; want the first closed", err, closed)
	}
	cause := errors.New("no")
	if _, err := c.get("1", "c", func() (*connection, error) { return nil, cause }); !errors.Is(err, cause) || closed != 2 {
		t.Errorf("none: %v, closed %d times; want the error, and the second closed", err, closed)
	}
	c.forget("1")
	c.forget("2")
	if closed != 2 {
		t.Errorf("closed %d times; want each once", closed)
	}
}

// TestCheckSTS: the words are those of the API.
func TestCheckSTS(t *testing.T) {
	t.Parallel()
	sts := func(p sourcev1.BucketProvider, s sourcev1.BucketSTSSpec) sourcev1.BucketSpec {
		return sourcev1.BucketSpec{Provider: p, STS: &s}
	}
	tests := map[string]struct {
		spec sourcev1.BucketSpec
		want string
	}{
		"none":          {spec: sourcev1.BucketSpec{Provider: "gcp"}},
		"aws":           {spec: sts("aws", sourcev1.BucketSTSSpec{Provider: "aws"})},
		"ldap":          {spec: sts("generic", sourcev1.BucketSTSSpec{Provider: "ldap", SecretRef: &meta.LocalObjectReference{Name: "x"}})},
		"gcp":           {spec: sts("gcp", sourcev1.BucketSTSSpec{Provider: "aws"}), want: "STS configuration is only supported for the 'aws' and 'generic' Bucket providers"},
		"ldap on aws":   {spec: sts("aws", sourcev1.BucketSTSSpec{Provider: "ldap"}), want: "'aws' is the only supported STS provider for the 'aws' Bucket provider"},
		"aws elsewhere": {spec: sts("generic", sourcev1.BucketSTSSpec{Provider: "aws"}), want: "'ldap' is the only supported STS provider for the 'generic' Bucket provider"},
		"aws secret":    {spec: sts("aws", sourcev1.BucketSTSSpec{Provider: "aws", SecretRef: &meta.LocalObjectReference{Name: "x"}}), want: "spec.sts.secretRef is not required for the 'aws' STS provider"},
		"aws trust":     {spec: sts("aws", sourcev1.BucketSTSSpec{Provider: "aws", CertSecretRef: &meta.LocalObjectReference{Name: "x"}}), want: "spec.sts.certSecretRef is not required for the 'aws' STS provider"},
		"ldap, no user": {spec: sts("generic", sourcev1.BucketSTSSpec{Provider: "ldap"}), want: "spec.sts.secretRef is required for the 'ldap' STS provider"},
	}
	for name, tc := range tests {
		err := checkSTS(tc.spec)
		if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && got != tc.want {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
}
