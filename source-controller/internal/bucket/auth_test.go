package bucket_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/source-controller/internal/bucket/buckettest"
	"weir.dev/source-controller/internal/sourcetest"
)

func ref(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

// TestSecretIsRefused: what is wrong with a Secret is told, and what it says is not.
func TestSecretIsRefused(t *testing.T) {
	t.Parallel()
	ldap := func(secret string) func(*sourcev1.BucketSpec) {
		return func(s *sourcev1.BucketSpec) {
			s.STS = &sourcev1.BucketSTSSpec{Provider: sourcev1.STSProviderLDAP, Endpoint: "http://127.0.0.1:1", SecretRef: ref(secret)}
		}
	}
	provider := func(p sourcev1.BucketProvider, endpoint string) func(*sourcev1.BucketSpec) {
		return func(s *sourcev1.BucketSpec) { s.Provider, s.Endpoint, s.SecretRef = p, endpoint, ref("bad") }
	}
	tests := map[string]struct {
		data   map[string]string // nil: there is no Secret
		adjust func(*sourcev1.BucketSpec)
		says   []string
	}{
		"missing":       {adjust: login(ref("bad")), says: []string{"failed to get secret '", "/bad'"}},
		"no keys":       {data: map[string]string{"other": "some-value"}, adjust: login(ref("bad")), says: []string{"invalid 'bad' secret data: required fields 'accesskey' and 'secretkey'"}},
		"half":          {data: map[string]string{"accesskey": "some-value"}, adjust: login(ref("bad")), says: []string{"required fields 'accesskey' and 'secretkey'"}},
		"google":        {data: map[string]string{"other": "some-value"}, adjust: provider("gcp", "storage.googleapis.com"), says: []string{"invalid 'bad' secret data: required fields 'serviceaccount'"}},
		"google, what?": {data: map[string]string{"serviceaccount": "some-value"}, adjust: provider("gcp", "storage.googleapis.com"), says: []string{"invalid 'bad' secret data", "JSON file"}},
		"azure":         {data: map[string]string{"tenantId": "some-value"}, adjust: provider("azure", "https://example.com"), says: []string{"invalid 'bad' secret data", `"accountKey"`, `"sasKey"`}},
		"ldap missing":  {adjust: ldap("bad"), says: []string{"failed to get secret '", "/bad'"}},
		"ldap half":     {data: map[string]string{"username": "some-value"}, adjust: ldap("bad"), says: []string{"invalid 'bad' secret data for 'ldap' STS provider: required fields 'username' and 'password'"}},
		"proxy missing": {adjust: func(s *sourcev1.BucketSpec) { s.ProxySecretRef = ref("bad") }, says: []string{"failed to get secret '"}},
		"proxy, what?":  {data: map[string]string{"address": "some-value"}, adjust: func(s *sourcev1.BucketSpec) { s.ProxySecretRef = ref("bad") }, says: []string{"/bad'", `"address"`}},
		"trust missing": {adjust: func(s *sourcev1.BucketSpec) { s.CertSecretRef = ref("bad") }, says: []string{"failed to get secret '"}},
		"trust, what?":  {data: map[string]string{"ca.crt": "some-value"}, adjust: func(s *sourcev1.BucketSpec) { s.CertSecretRef = ref("bad") }, says: []string{"/bad'", `"ca.crt"`}},
	}
	w := newWorld(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			data := tc.data
			name := strings.NewReplacer(" ", "-", ",", "", "?", "").Replace(name)
			if data != nil {
				w.Secret("bad", data)
			}
			b := w.bucket(name, tc.adjust)
			c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
			if !sourcetest.Says(c.Message, tc.says...) || strings.Contains(c.Message, "some-value") {
				t.Errorf("the message is %q; want %q in it, and no value", c.Message, tc.says)
			}
			w.WaitCondition(b, sourcev1.ConditionFetchFailed, metav1.ConditionTrue, sourcev1.ReasonAuthenticationFailed)
			if err := w.Client.Delete(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if data != nil {
				w.deleteSecret("bad")
			}
		})
	}
	if log := w.Log.String(); strings.Contains(log, "some-value") {
		t.Error("the log tells a value")
	}
}

// TestSpecIsRefused: what only another spec can mend is not tried again.
func TestSpecIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust func(*sourcev1.BucketSpec)
		reason string
		says   []string
	}{
		"a URL for an endpoint": {
			adjust: func(s *sourcev1.BucketSpec) { s.Endpoint = "https://me:hunter2@example.com" },
			reason: sourcev1.ReasonBucketOperationFailed, says: []string{"host with an optional port"},
		},
		"a bad bucket": {
			adjust: func(s *sourcev1.BucketSpec) { s.BucketName = "a/../b" }, reason: sourcev1.ReasonBucketOperationFailed, says: []string{"invalid bucket"},
		},
		"a bad token service": {
			adjust: func(s *sourcev1.BucketSpec) {
				s.STS = &sourcev1.BucketSTSSpec{Provider: sourcev1.STSProviderLDAP, Endpoint: "http://me:hunter2@", SecretRef: ref("x")}
			},
			reason: sourcev1.ReasonURLInvalid, says: []string{"failed to parse STS endpoint"},
		},
		"LDAP without a login": {
			adjust: func(s *sourcev1.BucketSpec) {
				s.STS = &sourcev1.BucketSTSSpec{Provider: sourcev1.STSProviderLDAP, Endpoint: "http://example.com"}
			},
			reason: sourcev1.ReasonInvalidSTSConfiguration, says: []string{"spec.sts.secretRef is required"},
		},
		"an identity of its own": {
			why: "the feature gate is off", reason: sourcev1.ReasonFeatureGateDisabled,
			adjust: func(s *sourcev1.BucketSpec) { s.Provider, s.ServiceAccountName = sourcev1.BucketProviderAWS, "me" },
			says:   []string{"to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate"},
		},
	}
	w := newWorld(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := w.bucket(strings.ToLower(strings.ReplaceAll(name, " ", "-")), tc.adjust)
			c := w.WaitCondition(b, sourcev1.ConditionStalled, metav1.ConditionTrue, tc.reason)
			if !sourcetest.Says(c.Message, tc.says...) || strings.Contains(c.Message, "hunter2") {
				t.Errorf("the message is %q; want %q in it, and no password (%s)", c.Message, tc.says, tc.why)
			}
			if b.Status.ObservedGeneration != b.Generation {
				t.Errorf("observedGeneration is %d; want %d, since that is the answer", b.Status.ObservedGeneration, b.Generation)
			}
		})
	}
}

// TestKeysRotate: new keys in a Secret work at the next run, without a restart.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1"}
	w.put(files)
	w.s3.Allow("key-1")
	b := w.bucket("fleet", login(w.Secret("keys", map[string]string{"accesskey": "key-1", "secretkey": "secret-1-value"})))
	w.waitPublished(b, files)

	w.s3.Allow("key-2")
	w.Again(b)
	c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
	if !sourcetest.Says(c.Message, "AccessDenied") || strings.Contains(c.Message, "-value") {
		t.Errorf("the message is %q; want what the server says, and no secret", c.Message)
	}
	w.patchSecret("keys", map[string]string{"accesskey": "key-2", "secretkey": "secret-2-value"})
	w.waitPublished(b, files)
	if n := w.s3.Count()["get"]; n != 1 {
		t.Errorf("%d objects were downloaded; want the one, once", n)
	}
}

// TestSecretThatComesLater is noticed at once, however long a retry would take.
func TestSecretThatComesLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--min-retry-delay=1h", "--max-retry-delay=1h")
	files := map[string]string{"a": "1"}
	w.put(files)
	b := w.bucket("fleet", login(ref("keys")))
	w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.Settle()
	w.Secret("keys", map[string]string{"accesskey": "key-1", "secretkey": "secret-1-value"})
	w.waitPublished(b, files)
}

func TestLDAPRotates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1"}
	w.put(files)
	w.s3.Allow("key-1")
	sts := buckettest.StartSTS(t, "me", "pass-1-value", "key-1")
	b := w.bucket("fleet", func(s *sourcev1.BucketSpec) {
		s.STS = &sourcev1.BucketSTSSpec{
			Provider: sourcev1.STSProviderLDAP, Endpoint: "http://" + sts.Host,
			SecretRef: w.Secret("ldap", map[string]string{"username": "me", "password": "pass-1-value"}),
		}
	})
	w.waitPublished(b, files)
	w.Again(b)
	w.waitPublished(b, files)
	if n := sts.Count()["token"]; n != 1 {
		t.Errorf("the token service was asked %d times in two runs; want once", n)
	}
	sts.Change("pass-2-value", "key-2")
	w.s3.Allow("key-2")
	w.patchSecret("ldap", map[string]string{"password": "pass-2-value"})
	w.Again(b)
	w.waitPublished(b, files)
	w.patchSecret("ldap", map[string]string{"password": "wrong-value"})
	w.Poke(b)
	c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
	if !sourcetest.Says(c.Message, "token service") || strings.Contains(c.Message+w.Log.String(), "-value") {
		t.Errorf("the message is %q; want it to tell of the token service, and no password", c.Message)
	}
}

func TestGoogle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := buckettest.StartGCS(t, "fleet")
	g.Put("app/a.yaml", "1")
	g.Put("app/b.yaml", "2")
	secret := w.Secret("google", map[string]string{"serviceaccount": g.Key(t)})
	b := w.bucket("fleet", func(s *sourcev1.BucketSpec) {
		s.Provider, s.Endpoint, s.SecretRef = sourcev1.BucketProviderGCP, g.Host, secret
	})
	w.WaitReady(b)
	if diff := cmp.Diff(map[string]string{"app/a.yaml": "1", "app/b.yaml": "2"}, w.Content(b)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	old := b.Status.Artifact.Revision
	g.Put("app/b.yaml", "3")
	g.Reset()
	w.Again(b)
	w.Wait("another revision", b, func() bool { return b.Status.Artifact.Revision != old })
	if diff := cmp.Diff(map[string]int{"list": 1, "get": 1}, g.Count()); diff != "" {
		t.Errorf("requests for one change (-want +got):\n%s", diff)
	}
}

func TestAzure(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte("key"))
	tests := map[string]struct {
		secret map[string]string
		allow  func(*http.Request) bool
	}{
		"account key": {
			secret: map[string]string{"accountKey": key},
			allow: func(r *http.Request) bool {
				return strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey account:")
			},
		},
		"sas key": {
			secret: map[string]string{"sasKey": "?sv=1&sig=sig-value"},
			allow:  func(r *http.Request) bool { return r.URL.Query().Get("sig") == "sig-value" },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := buckettest.StartAzure(t, "fleet")
			a.Allow(tc.allow)
			a.Put("app/a.yaml", "1")
			a.Put("b.yaml", "2")
			secret := w.Secret("azure", tc.secret)
			b := w.bucket("fleet", func(s *sourcev1.BucketSpec) {
				s.Provider, s.Endpoint, s.SecretRef = sourcev1.BucketProviderAzure, a.URL(), secret
			})
			w.WaitReady(b)
			if diff := cmp.Diff(map[string]string{"app/a.yaml": "1", "b.yaml": "2"}, w.Content(b)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			a.Allow(func(*http.Request) bool { return false })
			w.Poke(b)
			c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
			if strings.Contains(c.Message+w.Log.String(), "sig-value") {
				t.Errorf("%q tells the signature", c.Message)
			}
		})
	}
}

// TestTLS: an authority of the user's own is trusted where the spec says so, and nowhere
// else.
func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1"}
	w.put(files)
	cert, err := gitserver.NewCertificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	host := w.s3.TLS(t, cert.TLS)
	trusted := w.bucket("trusted", func(s *sourcev1.BucketSpec) {
		s.Endpoint, s.Insecure, s.CertSecretRef = host, false, w.Secret("ca", map[string]string{"ca.crt": string(cert.CA)})
	})
	w.waitPublished(trusted, files)
	other := w.bucket("other", func(s *sourcev1.BucketSpec) { s.Endpoint, s.Insecure = host, false })
	c := w.WaitCondition(other, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
	if !sourcetest.Says(c.Message, "certificate") {
		t.Errorf("the message is %q; want it to tell of the certificate", c.Message)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:pw-value")) {
			rw.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		passed.Add(1)
		out := r.Clone(r.Context())
		out.RequestURI = ""
		out.Header.Del("Proxy-Authorization")
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for k, v := range res.Header {
			rw.Header()[k] = v
		}
		rw.WriteHeader(res.StatusCode)
		_, _ = fmt.Fprint(rw, readAll(res))
	}))
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	files := map[string]string{"a": "1"}
	w.put(files)
	b := w.bucket("fleet", func(s *sourcev1.BucketSpec) {
		s.ProxySecretRef = w.Secret("proxy", map[string]string{"address": "http://" + u.Host, "username": "me", "password": "pw-value"})
	})
	w.waitPublished(b, files)
	if n := passed.Load(); n != int64(len(w.s3.Requests())) || n == 0 {
		t.Errorf("%d of %d requests went through the proxy; want all", n, len(w.s3.Requests()))
	}
	w.patchSecret("proxy", map[string]string{"password": "wrong-value"})
	w.Poke(b)
	c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
	if strings.Contains(c.Message+w.Log.String(), "-value") {
		t.Errorf("%q tells a password", c.Message)
	}
}
