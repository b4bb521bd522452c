package tenant

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// elections bounds how often a request is repeated because the storage of an API server
	// elects a leader, which takes a second or two.
	elections = 5
	// electionPause is the time before the first repetition; it doubles each time.
	electionPause = 100 * time.Millisecond
	// maxRefusal bounds how much is read of an answer that may say so.
	maxRefusal = 64 << 10
)

// patient repeats requests that an API server could not carry out because its storage was
// electing a leader. Such a request has changed nothing, or is refused when it is repeated
// as one that was carried out already; without that, a release would count as failed.
type patient struct {
	base  http.RoundTripper
	pause time.Duration
}

// persist returns a client that is patient.
func persist(hc *http.Client) *http.Client {
	base := hc.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	return &http.Client{Transport: patient{base: base, pause: electionPause}, Timeout: hc.Timeout}
}

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for pause, left := p.pause, elections; ; pause, left = 2*pause, left-1 {
		resp, err := p.base.RoundTrip(req)
		if err != nil || left == 0 || !electing(resp) {
			return resp, err
		}
		next, ok := again(req)
		if !ok {
			return resp, nil
		}
		wait := time.NewTimer(pause)
		select {
		case <-req.Context().Done():
			wait.Stop()
			return resp, nil
		case <-wait.C:
		}
		req = next
	}
}

// again returns a request to be sent once more; false if its body cannot be read again.
func again(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	next := req.Clone(req.Context())
	next.Body = body
	return next, true
}

// electing reports whether an answer says that there was no leader. The answer can be read
// as before.
func electing(resp *http.Response) bool {
	if resp.StatusCode < http.StatusInternalServerError || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return false
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), rest}
	var status struct {
		Message string `json:"message"`
	}
	if err != nil || json.Unmarshal(head, &status) != nil {
		return false
	}
	return strings.HasSuffix(status.Message, "etcdserver: leader changed") || strings.HasSuffix(status.Message, "raft proposal dropped")
}
