package creds_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
)

// ahead is an end that no test lives to see.
func ahead() time.Time { return time.Now().AddDate(1, 0, 0) }

// TestTLSTrustsAndShows: a server that wants a certificate of an authority gets one, and
// shows one of the same.
func TestTLSTrustsAndShows(t *testing.T) {
	t.Parallel()
	ours, theirs := credstest.NewAuthority(t), credstest.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Client", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ours.Issue("server", ahead()).TLS(t)},
		ClientCAs:    ours.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)

	robot, stranger := ours.Issue("robot", ahead()), theirs.Issue("stranger", ahead())
	ca := string(ours.CA)
	tests := map[string]struct {
		why    string
		data   map[string][]byte
		works  bool
		legacy []string
	}{
		"current names":     {data: data("ca.crt", ca, "tls.crt", string(robot.Cert), "tls.key", string(robot.Key)), works: true},
		"old names":         {data: data("caFile", ca, "certFile", string(robot.Cert), "keyFile", string(robot.Key)), works: true, legacy: []string{"caFile", "certFile", "keyFile"}},
		"both names":        {why: "the current ones win, and nothing is deprecated", data: data("ca.crt", ca, "tls.crt", string(robot.Cert), "tls.key", string(robot.Key), "caFile", string(theirs.CA), "certFile", "no PEM", "keyFile", "no PEM"), works: true},
		"no certificate":    {data: data("ca.crt", ca)},
		"nobody is trusted": {data: data("tls.crt", string(robot.Cert), "tls.key", string(robot.Key))},
		"others' authority": {data: data("ca.crt", string(theirs.CA), "tls.crt", string(robot.Cert), "tls.key", string(robot.Key))},
		"others' person":    {data: data("ca.crt", ca, "tls.crt", string(stranger.Cert), "tls.key", string(stranger.Key))},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := creds.NewTLS(tc.data, "ns/name")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.legacy, got.Legacy); diff != "" {
				t.Errorf("deprecated keys (-want +got):\n%s", diff)
			}
			transport := &http.Transport{TLSClientConfig: got.Config()}
			t.Cleanup(transport.CloseIdleConnections)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if (err == nil) != tc.works {
				t.Fatalf("error %v, want success %v (%s)", err, tc.works, tc.why)
			}
			if err != nil {
				return
			}
			res.Body.Close()
			if got := res.Header.Get("Client"); got != "robot" {
				t.Errorf("the server saw %q", got)
			}
		})
	}
}

func TestTLSRefuses(t *testing.T) {
	t.Parallel()
	a := credstest.NewAuthority(t)
	one, other := a.Issue("one", ahead()), a.Issue("other", ahead())
	tests := map[string]struct {
		why  string
		data map[string][]byte
		says []string
	}{
		"ca is no PEM":      {data: data("ca.crt", "ca-value"), says: []string{`"ca.crt"`, "PEM"}},
		"old ca is no PEM":  {data: data("caFile", "ca-value"), says: []string{`"caFile"`, "PEM"}},
		"ca is a key":       {why: "it trusts nobody", data: data("ca.crt", string(one.Key)), says: []string{`"ca.crt"`, "certificate"}},
		"no key":            {data: data("tls.crt", string(one.Cert)), says: []string{`"tls.crt"`, `"tls.key"`, "both"}},
		"no certificate":    {data: data("tls.key", string(one.Key)), says: []string{`"tls.crt"`, `"tls.key"`, "both"}},
		"half of each name": {why: "nobody can tell that they belong together", data: data("tls.crt", string(one.Cert), "keyFile", string(one.Key)), says: []string{`"tls.key"`}},
		"half of old names": {data: data("certFile", string(one.Cert)), says: []string{`"certFile"`, `"keyFile"`}},
		"no PEM":            {data: data("tls.crt", "cert-value", "tls.key", "key-value"), says: []string{`"tls.crt"`, `"tls.key"`}},
		"another's key":     {data: data("tls.crt", string(one.Cert), "tls.key", string(other.Key)), says: []string{`"tls.key"`}},
		"exchanged":         {data: data("tls.crt", string(one.Key), "tls.key", string(one.Cert)), says: []string{`"tls.key"`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := creds.NewTLS(tc.data, "ns/name")
			refused(t, err, tc.data, append(tc.says, "secret 'ns/name'")...)
			if !got.Empty() {
				t.Errorf("%v beside an error", got)
			}
		})
	}
}

func TestTLSExpired(t *testing.T) {
	t.Parallel()
	a := credstest.NewAuthority(t)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	pair := a.Issue("robot", end)
	got, err := creds.NewTLS(data("tls.crt", string(pair.Cert), "tls.key", string(pair.Key)), "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	if _, expired := got.Expired(end.Add(-time.Second)); expired {
		t.Error("it has expired before its end")
	}
	if when, expired := got.Expired(end.Add(time.Second)); !expired || !when.Equal(end) {
		t.Errorf("Expired() = %v, %v, want %v", when, expired, end)
	}
	if _, expired := (creds.TLS{}).Expired(end); expired {
		t.Error("nothing has expired")
	}
}

func TestTLSFingerprint(t *testing.T) {
	t.Parallel()
	a := credstest.NewAuthority(t)
	pair := func() string {
		p := a.Issue("robot", ahead())
		got, err := creds.NewTLS(data("tls.crt", string(p.Cert), "tls.key", string(p.Key)), "ns/name")
		if err != nil {
			t.Fatal(err)
		}
		return got.Fingerprint()
	}
	seen := map[string]bool{pair(): true, pair(): true, creds.TLS{}.Fingerprint(): true, creds.TLS{CA: a.CA}.Fingerprint(): true}
	if len(seen) != 4 {
		t.Errorf("%d different fingerprints, want 4", len(seen))
	}
}
