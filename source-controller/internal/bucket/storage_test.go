package bucket

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/source-controller/internal/bucket/azure"
	"weir.dev/source-controller/internal/bucket/buckettest"
	"weir.dev/source-controller/internal/bucket/gcs"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/bucket/s3"
)

const (
	bucketName = "fleet"
	accessKey  = "access-key-value"
	secretKey  = "secret-key-value"
)

// side is one kind of storage, and how it is read.
type side struct {
	*buckettest.Gate
	secret string // that no error may tell
	put    func(key, content string)
	open   func(t *testing.T, bucket string) storage
}

// sides are all kinds of storages.
func sides() map[string]func(*testing.T) side {
	return map[string]func(*testing.T) side{"s3": s3Side, "gcs": gcsSide, "azure": azureSide}
}

func transport() *objects.Transport { return objects.NewTransport(creds.TLS{}, creds.Proxy{}) }

func s3Side(t *testing.T) side {
	server := buckettest.StartS3(t, bucketName)
	server.Allow(accessKey)
	return side{Gate: server.Gate, secret: secretKey, put: server.Put, open: func(t *testing.T, bucket string) storage {
		b, err := s3.Open(s3.Options{
			Endpoint: server.Host, Bucket: bucket, Region: "us-east-1", Insecure: true,
			Login: s3.Static(creds.Hide(accessKey), creds.Hide(secretKey)), Transport: transport(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
}

func gcsSide(t *testing.T) side {
	server := buckettest.StartGCS(t, bucketName)
	server.PageSize(2)
	key := server.Key(t)
	return side{Gate: server.Gate, secret: key, put: server.Put, open: func(t *testing.T, bucket string) storage {
		login, err := gcs.ServiceAccount([]byte(key), transport().Client())
		if err != nil {
			t.Fatal(err)
		}
		b, err := gcs.Open(gcs.Options{Endpoint: server.Host, Bucket: bucket, Insecure: true, Login: login, Transport: transport()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
}

func azureSide(t *testing.T) side {
	server := buckettest.StartAzure(t, bucketName)
	server.PageSize(2)
	server.Allow(func(r *http.Request) bool {
		return strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey "+buckettest.Account+":")
	})
	return side{Gate: server.Gate, secret: base64.StdEncoding.EncodeToString([]byte(secretKey)), put: server.Put, open: func(t *testing.T, bucket string) storage {
		secret := map[string][]byte{"accountKey": []byte(base64.StdEncoding.EncodeToString([]byte(secretKey)))}
		login, err := azure.FromSecret(secret, transport().Client())
		if err != nil {
			t.Fatal(err)
		}
		b, err := azure.Open(azure.Options{Endpoint: server.URL(), Container: bucket, Login: login, Transport: transport()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
}

// each runs a test for each kind of storage.
func each(t *testing.T, test func(t *testing.T, s side)) {
	t.Parallel()
	for name, start := range sides() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func listing(ctx context.Context, b storage, prefix string) (map[string]objects.Object, error) {
	listed := make(map[string]objects.Object)
	err := b.List(ctx, prefix, func(o objects.Object) error { listed[o.Key] = o; return nil })
	return listed, err
}

func TestStorageListsAllPages(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		for _, key := range []string{"a.yaml", "app/b.yaml", "app/c d+ü%?.yaml", "app/sub/d.yaml", "z/"} {
			s.put(key, "content of "+key)
		}
		b := s.open(t, bucketName)
		for prefix, want := range map[string]int{"": 5, "app/": 3, "app/sub": 1, "none": 0} {
			listed, err := listing(t.Context(), b, prefix)
			if err != nil || len(listed) != want {
				t.Errorf("prefix %q: %d objects, %v; want %d", prefix, len(listed), err, want)
			}
			for key, o := range listed {
				if o.ETag == "" || strings.Contains(o.ETag, `"`) || o.Size != int64(len("content of "+key)) {
					t.Errorf("%q is listed as %+v", key, o)
				}
			}
		}
		stop := errors.New("stop")
		if err := b.List(t.Context(), "", func(objects.Object) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("List returned %v; want the error of visit", err)
		}
	})
}

func TestStorageGetsWhatItLists(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		const key = "app/c d+ü%?.yaml"
		s.put(key, "content")
		b := s.open(t, bucketName)
		listed, err := listing(t.Context(), b, "")
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		got, err := b.Get(t.Context(), listed[key], &content, 7)
		if err != nil || content.String() != "content" || got.Size != 7 || got.ETag != listed[key].ETag {
			t.Errorf("Get: %+v, %q, %v; want the state %+v", got, &content, err, listed[key])
		}
		stat, err := b.Stat(t.Context(), key)
		if err != nil || stat.ETag != listed[key].ETag || stat.Size != 7 {
			t.Errorf("Stat: %+v, %v; want the state %+v", stat, err, listed[key])
		}
		if _, err := b.Get(t.Context(), listed[key], io.Discard, 6); !errors.Is(err, objects.ErrTooLarge) {
			t.Errorf("Get with a limit of 6 bytes: %v; want ErrTooLarge", err)
		}

		s.put(key, "other content")
		content.Reset()
		now, err := b.Get(t.Context(), listed[key], &content, 100)
		if err != nil || content.String() != "other content" || now.ETag == listed[key].ETag || now.ETag == "" {
			t.Errorf("Get of what changed: %+v, %q, %v; want the new state", now, &content, err)
		}
	})
}

func TestStorageTellsWhatIsMissing(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		for _, version := range []string{"", "7"} {
			if _, err := b.Get(t.Context(), objects.Object{Key: "none", Version: version}, io.Discard, 1); !errors.Is(err, objects.ErrGone) {
				t.Errorf("Get: %v; want ErrGone", err)
			}
		}
		if _, err := b.Stat(t.Context(), "none"); !errors.Is(err, objects.ErrGone) {
			t.Errorf("Stat: %v; want ErrGone", err)
		}
		if _, err := listing(t.Context(), s.open(t, "other"), ""); !errors.Is(err, objects.ErrNoBucket) {
			t.Errorf("List of a bucket that does not exist: %v; want ErrNoBucket", err)
		}
	})
}

func TestStorageTakesNoOtherAnswerForAListing(t *testing.T) {
	answers := map[string]string{
		"a page":  "<html><body>Welcome</body></html>",
		"XML":     "<?xml version=\"1.0\"?><feed></feed>",
		"JSON":    "{}",
		"nothing": "",
		"garbage": "\x00\x01\x02<<<",
		"cut":     `<?xml version="1.0"?><EnumerationResults ServiceEndpoint="x"><ListBucketResult>{"kind":"storage#objects","items":[`,
	}
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		for name, answer := range answers {
			s.Break(func(r buckettest.Request, w http.ResponseWriter, _ *http.Request) bool {
				if r.Kind != "list" {
					return false
				}
				fmt.Fprint(w, answer)
				return true
			})
			if listed, err := listing(t.Context(), b, ""); err == nil {
				t.Errorf("%s is taken for a listing of %d objects", name, len(listed))
			}
		}
	})
}

func TestStorageLimitsAnswers(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		s.Break(func(r buckettest.Request, w http.ResponseWriter, req *http.Request) bool {
			if r.Kind != "list" {
				return false
			}
			fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult>`)
			blank := bytes.Repeat([]byte(" "), 1<<20)
			for range 100 {
				if _, err := w.Write(blank); err != nil {
					return true
				}
			}
			return true
		})
		if _, err := listing(t.Context(), b, ""); !errors.Is(err, objects.ErrTooLarge) && !strings.Contains(fmt.Sprint(err), "invalid character") {
			t.Errorf("a listing without end: %v; want ErrTooLarge", err)
		}
	})
}

func TestStorageNoticesWhatIsCut(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		s.put("a", "content")
		b := s.open(t, bucketName)
		listed, err := listing(t.Context(), b, "")
		if err != nil {
			t.Fatal(err)
		}
		s.Break(func(r buckettest.Request, w http.ResponseWriter, _ *http.Request) bool {
			if r.Kind == "get" {
				buckettest.Cut(w)
			}
			return false
		})
		if _, err := b.Get(t.Context(), listed["a"], io.Discard, 1<<30); err == nil || errors.Is(err, objects.ErrGone) {
			t.Errorf("Get of what is cut: %v; want an error", err)
		}
	})
}

// TestStorageFollowsNoRedirect: whatever the status, nobody else gets a request, with
// credentials or without.
func TestStorageFollowsNoRedirect(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		asked := make(chan string, 100)
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
		t.Cleanup(other.Close)
		b := s.open(t, bucketName)
		for _, status := range []int{301, 302, 303, 307, 308} {
			s.Break(func(r buckettest.Request, w http.ResponseWriter, req *http.Request) bool {
				if r.Kind == "token" {
					return false
				}
				http.Redirect(w, req, other.URL+req.URL.Path, status)
				return true
			})
			if _, err := listing(t.Context(), b, ""); err == nil || !strings.Contains(err.Error(), "redirect") {
				t.Errorf("a listing answered by %d: %v; want an error that tells of the redirect", status, err)
			}
			if _, err := b.Get(t.Context(), objects.Object{Key: "a", Version: "1"}, io.Discard, 100); err == nil || errors.Is(err, objects.ErrGone) {
				t.Errorf("an object answered by %d: %v; want an error", status, err)
			}
		}
		if len(asked) > 0 {
			t.Errorf("the other host was asked for %s", <-asked)
		}
	})
}

func TestStorageEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		cause := errors.New("that took too long")
		ctx, cancel := context.WithCancelCause(t.Context())
		s.Break(func(r buckettest.Request, _ http.ResponseWriter, req *http.Request) bool {
			if r.Kind != "list" {
				return false
			}
			cancel(cause)
			<-req.Context().Done()
			return true
		})
		if _, err := listing(ctx, b, ""); !errors.Is(err, cause) {
			t.Errorf("List: %v; want the cause of the end", err)
		}
		if _, err := listing(ctx, b, ""); err == nil {
			t.Error("List after the end is without error, as if the bucket were empty")
		}
	})
}

// TestStorageTriesAgain: what fails for a moment need not fail a run, what is refused is
// not asked for again.
func TestStorageTriesAgain(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		for status, want := range map[int]int{http.StatusServiceUnavailable: 3, http.StatusForbidden: 1} {
			s.Reset()
			s.Break(func(r buckettest.Request, w http.ResponseWriter, _ *http.Request) bool {
				if r.Kind != "list" {
					return false
				}
				w.WriteHeader(status)
				return true
			})
			_, err := listing(t.Context(), b, "")
			if n := s.Count()["list"]; err == nil || n != want {
				t.Errorf("status %d: %d requests, %v; want %d and an error", status, n, err, want)
			}
		}
	})
}

// TestStorageTellsNoSecrets: servers may quote what they got.
func TestStorageTellsNoSecrets(t *testing.T) {
	each(t, func(t *testing.T, s side) {
		b := s.open(t, bucketName)
		s.Break(func(r buckettest.Request, w http.ResponseWriter, req *http.Request) bool {
			if r.Kind == "token" {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "<Error><Code>Bad</Code><Message>%s for http://me:pw-value@x/?sig=sig-value&amp;y=z\n%s</Message></Error>",
				s.secret, strings.Repeat("long ", 1000))
			return true
		})
		_, err := listing(t.Context(), b, "")
		if err == nil {
			t.Fatal("no error")
		}
		for _, secret := range []string{s.secret, "sig-value", "pw-value", "\n"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q tells %q", err, secret)
			}
		}
		if len(err.Error()) > 600 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	})
}

// TestStorageLogsInOnce: a token serves until it ends.
func TestStorageLogsInOnce(t *testing.T) {
	t.Parallel()
	s := gcsSide(t)
	b := s.open(t, bucketName)
	for range 3 {
		if _, err := listing(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"token": 1, "list": 3}, s.Count()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
