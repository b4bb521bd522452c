package buckettest

import (
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// S3 is a storage of the protocol of S3 with one bucket.
type S3 struct {
	*Gate

	t       testing.TB
	bucket  string
	backend *s3mem.Backend

	mu  sync.Mutex
	key string // access key that is let in; "" lets anybody in
}

// StartS3 starts a storage with an empty bucket that anybody may read.
func StartS3(t testing.TB, bucket string) *S3 {
	t.Helper()
	s := &S3{t: t, bucket: bucket, backend: s3mem.New()}
	if err := s.backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(s.backend, gofakes3.WithTimeSkewLimit(0)).Server()
	s.Gate = newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.lets(r) {
			Refuse(w, http.StatusForbidden, "AccessDenied")
			return
		}
		fake.ServeHTTP(w, r)
	}), classifyS3)
	return s
}

// Allow lets in only requests that are signed with an access key.
func (s *S3) Allow(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

func (s *S3) lets(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key == "" || strings.Contains(r.Header.Get("Authorization"), "Credential="+s.key+"/")
}

// Put puts an object.
func (s *S3) Put(key, content string) {
	s.t.Helper()
	meta := map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
	if _, err := s.backend.PutObject(s.bucket, key, meta, strings.NewReader(content), int64(len(content)), nil); err != nil {
		s.t.Fatal(err)
	}
}

// Delete deletes an object.
func (s *S3) Delete(key string) {
	if _, err := s.backend.DeleteObject(s.bucket, key); err != nil {
		s.t.Error(err) // also from a handler
	}
}

// Refuse answers like S3 that refuses something.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s by the test</Message></Error>", code, code)
}

func classifyS3(r *http.Request) Request {
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case q.Has("location"):
		return Request{Kind: "location"}
	case q.Has("list-type"), q.Has("prefix"):
		return Request{Kind: "list"}
	case r.Method == http.MethodHead && key != "":
		return Request{Kind: "head", Key: key}
	case r.Method == http.MethodGet && key != "":
		return Request{Kind: "get", Key: key}
	default:
		return Request{}
	}
}

// STS is a token service that asks an LDAP directory.
type STS struct {
	*Gate

	mu             sync.Mutex
	user, password string
	key            string
}

// StartSTS starts a token service that gives the access key to a user.
func StartSTS(t testing.TB, user, password, key string) *STS {
	t.Helper()
	s := &STS{user: user, password: password, key: key}
	s.Gate = newGate(t, s, func(*http.Request) Request { return Request{Kind: "token"} })
	return s
}

// Change changes the password, and the key that is given.
func (s *STS) Change(password, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password, s.key = password, key
}

// ServeHTTP implements http.Handler.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRoleWithLDAPIdentity" ||
		r.Form.Get("LDAPUsername") != s.user || r.Form.Get("LDAPPassword") != s.password {
		w.WriteHeader(http.StatusForbidden)
		// Some servers are careless with what they quote.
		fmt.Fprintf(w, `<ErrorResponse><Error><Type></Type><Code>AccessDenied</Code><Message>no user %s with %s</Message></Error></ErrorResponse>`,
			r.Form.Get("LDAPUsername"), url.QueryEscape(r.Form.Get("LDAPPassword")))
		return
	}
	answer := struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithLDAPIdentityResponse"`
		Result  struct {
			Credentials struct {
				AccessKey    string    `xml:"AccessKeyId"`
				SecretKey    string    `xml:"SecretAccessKey"`
				SessionToken string    `xml:"SessionToken"`
				Expiration   time.Time `xml:"Expiration"`
			}
		} `xml:"AssumeRoleWithLDAPIdentityResult"`
	}{}
	c := &answer.Result.Credentials
	c.AccessKey, c.SecretKey, c.SessionToken, c.Expiration = s.key, "secret-of-"+s.key, "session", time.Now().Add(time.Hour).UTC()
	_ = xml.NewEncoder(w).Encode(answer) // who asked is gone
}

// TLS serves the storage by TLS besides, and returns where.
func (s *S3) TLS(t testing.TB, cert tls.Certificate) (host string) {
	server := httptest.NewUnstartedServer(s.Gate)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who distrusts it is a test's to see
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}
