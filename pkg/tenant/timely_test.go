package tenant

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// answering is a transport that answers at once, with a body that ends when it is told to,
// or with the request.
type answering struct {
	headers time.Duration // after which the answer begins
	body    time.Duration // after which it ends
}

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(req *http.Request) (*http.Response, error) {
	wait := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-req.Context().Done():
			return req.Context().Err()
		}
	}
	if err := wait(a.headers); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		if err := wait(a.body); err != nil {
			_ = w.CloseWithError(err)
			return
		}
		_, _ = io.WriteString(w, "all")
		_ = w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: r, Request: req}, nil
}

// TestRequestsEndInTime: an API server that says nothing holds up nobody for long.
func TestRequestsEndInTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		url   string
		by    answering
		ended bool
	}{
		"at once":          {why: "as most do", url: "/api/v1/secrets"},
		"slowly":           {why: "it may have much to do", url: "/api/v1/secrets", by: answering{headers: 20 * time.Second, body: 5 * time.Second}},
		"never":            {why: "nobody knows whether it ever will", url: "/api/v1/secrets", by: answering{headers: time.Hour}, ended: true},
		"never to the end": {why: "the rest may never come", url: "/api/v1/secrets?watch=false", by: answering{body: time.Hour}, ended: true},
		"a watch":          {why: "nothing may happen for long", url: "/api/v1/secrets?watch=true", by: answering{headers: time.Hour, body: time.Hour}},
		"a log":            {why: "nothing may happen for long", url: "/api/v1/namespaces/a/pods/b/log?follow=true", by: answering{body: time.Hour}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hc := timely(&http.Client{Transport: tc.by}, 30*time.Second)
				req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://cluster"+tc.url, nil)
				req.RequestURI = ""
				begun := time.Now()
				var got []byte
				resp, err := hc.Do(req)
				if err == nil {
					got, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				switch {
				case !tc.ended && (err != nil || string(got) != "all"):
					t.Errorf("the answer is %q: %v (%s)", got, err, tc.why)
				case tc.ended && !errors.Is(err, ErrNoAnswer):
					t.Errorf("the error is %v; want %v (%s)", err, ErrNoAnswer, tc.why)
				case tc.ended && time.Since(begun) != 30*time.Second:
					t.Errorf("it took %s", time.Since(begun))
				}
			})
		})
	}
}
