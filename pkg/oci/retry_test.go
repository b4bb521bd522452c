package oci_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

// later answers with a status and a header that says when to ask again.
func later(status int, header string) ocitest.Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", header)
		w.WriteHeader(status)
		return true
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const none = -1
	tests := map[string]struct {
		why       string
		fault     ocitest.Fault
		least, at time.Duration // at most; least none: nothing is said
	}{
		"too many requests":      {fault: later(http.StatusTooManyRequests, "120"), least: 2 * time.Minute, at: 2 * time.Minute},
		"not available":          {fault: later(http.StatusServiceUnavailable, "7"), least: 7 * time.Second, at: 7 * time.Second},
		"a date":                 {fault: later(http.StatusTooManyRequests, time.Now().Add(30*time.Minute).UTC().Format(http.TimeFormat)), least: 20 * time.Minute, at: 30 * time.Minute},
		"a date that is past":    {fault: later(http.StatusTooManyRequests, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), least: none},
		"very long":              {why: "nobody may keep us away for good", fault: later(http.StatusTooManyRequests, "4000000000"), least: time.Hour, at: time.Hour},
		"no number":              {fault: later(http.StatusTooManyRequests, "soon"), least: none},
		"a negative number":      {fault: later(http.StatusTooManyRequests, "-5"), least: none},
		"no header":              {fault: ocitest.Status(http.StatusTooManyRequests), least: none},
		"another failure":        {why: "it is for those that a wait mends", fault: later(http.StatusNotFound, "120"), least: none},
		"at the ping of a login": {why: "a registry may refuse even that", fault: ocitest.Only(ocitest.Ping, later(http.StatusTooManyRequests, "60")), least: time.Minute, at: time.Minute},
		"by the token server":    {fault: ocitest.Only(ocitest.Token, later(http.StatusTooManyRequests, "60")), least: time.Minute, at: time.Minute},
	}
	for name, tc := range tests {
		r := ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true})
		r.Push("app", "latest", ocitest.Files(nil))
		r.Break(tc.fault)
		_, err := open(t, oci.NewClient(oci.Limits{}), r, "app", login(password)).Tags(t.Context())
		got, ok := oci.RetryAfter(err)
		if err == nil || ok != (tc.least != none) || ok && (got < tc.least || got > tc.at) {
			t.Errorf("%s: %v; ask again after %s, %t; want from %s to %s (%s)", name, err, got, ok, tc.least, tc.at, tc.why)
		}
		if err != nil && strings.Contains(err.Error(), "m0s") {
			t.Errorf("%s: the error %q tells a time, which is another each time", name, err)
		}
	}
}

// TestRetryAfterIsOfOneRequest: what an answer said does not stick to the session.
func TestRetryAfterIsOfOneRequest(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{})
	r.Break(later(http.StatusTooManyRequests, "120"))
	_, first := s.Tags(t.Context())
	r.Break(ocitest.Status(http.StatusInternalServerError))
	_, second := s.Tags(t.Context())
	if _, ok := oci.RetryAfter(first); !ok {
		t.Errorf("%v says nothing of when to ask again", first)
	}
	if _, ok := oci.RetryAfter(second); ok || !errors.Is(second, oci.ErrRegistry) {
		t.Errorf("%v; want a failure that says nothing of when to ask again", second)
	}
}

func TestParseImage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		want string
		says string
	}{
		"registry.example.com/org/app":  {want: "registry.example.com/org/app"},
		"registry.example.com:5000/app": {want: "registry.example.com:5000/app"},
		"127.0.0.1:5000/app":            {want: "127.0.0.1:5000/app"},
		"alpine":                        {why: "what is implied is made explicit", want: "index.docker.io/library/alpine"},
		"org/app":                       {want: "index.docker.io/org/app"},
		"docker.io/library/alpine":      {want: "index.docker.io/library/alpine"},
		"":                              {says: "empty"},
		"https://example.com/app":       {says: "should not start with URL scheme"},
		"oci://example.com/app":         {says: "without \"oci://\""},
		"example.com/app:1.0":           {says: `remove ":1.0"`},
		"alpine:3":                      {says: `remove ":3"`},
		"example.com/app@sha256:abc":    {says: "digest"},
		"user:hunter2@example.com/app":  {why: "a password is not repeated", says: "credentials"},
		"example.com/App":               {says: "names no repository"},
		"example.com/../app":            {says: "names no repository"},
		"example.com//app":              {says: "names no repository"},
		"example.com/app?x":             {says: "query"},
	}
	for image, tc := range tests {
		repo, err := oci.ParseImage(image)
		if tc.says == "" && (err != nil || repo.String() != tc.want) {
			t.Errorf("%q is %s, %v; want %s (%s)", image, repo, err, tc.want, tc.why)
		}
		if tc.says != "" && (!errors.Is(err, oci.ErrInvalidImage) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v; want an error that says %q (%s)", image, err, tc.says, tc.why)
		}
	}
}
