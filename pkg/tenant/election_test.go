package tenant

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRequestsOutlastAnElection(t *testing.T) {
	t.Parallel()
	const changed = `{"kind":"Status","message":"etcdserver: leader changed","code":500}`
	tests := map[string]struct {
		why    string
		answer string // to the first requests
		typ    string
		code   int
		often  int
		once   bool // the body can be read only once
		want   int  // the code that the caller sees
		asked  int
	}{
		"elects once":        {why: "the second request is carried out", answer: changed, code: 500, often: 1, want: 200, asked: 2},
		"drops a proposal":   {why: "so etcd says it, too", answer: `{"message":"rpc error: code = Unknown desc = raft proposal dropped"}`, code: 500, often: 2, want: 200, asked: 3},
		"never ends":         {why: "somebody must be told some time", answer: changed, code: 500, often: 100, want: 500, asked: 1 + elections},
		"another failure":    {why: "nothing says that it helps to repeat it", answer: `{"message":"etcdserver: mvcc: database space exceeded"}`, code: 500, often: 100, want: 500, asked: 1},
		"refused":            {why: "a refusal is final, whatever it quotes", answer: changed, code: 409, often: 100, want: 409, asked: 1},
		"no JSON":            {why: "a proxy says that", answer: changed, typ: "text/html", code: 502, often: 100, want: 502, asked: 1},
		"body is read":       {why: "half a request must not be sent", answer: changed, code: 500, often: 100, once: true, want: 500, asked: 1},
		"longer than it may": {why: "what is read has a limit, and arrives whole", answer: strings.Repeat(" ", maxRefusal) + changed, code: 500, often: 100, want: 500, asked: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked++
				if body, _ := io.ReadAll(req.Body); string(body) != "sent" {
					t.Errorf("request %d has the body %q", asked, body)
				}
				if asked > tc.often {
					return
				}
				w.Header().Set("Content-Type", "application/json")
				if tc.typ != "" {
					w.Header().Set("Content-Type", tc.typ)
				}
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.answer)
			}))
			defer server.Close()
			hc := &http.Client{Transport: patient{base: http.DefaultTransport, pause: time.Millisecond}}
			var sent io.Reader = strings.NewReader("sent")
			if tc.once {
				sent = io.MultiReader(sent)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, server.URL, sent)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.want || asked != tc.asked {
				t.Errorf("code %d after %d requests, %v; want %d after %d (%s)", resp.StatusCode, asked, err, tc.want, tc.asked, tc.why)
			}
			if tc.want != http.StatusOK && string(got) != tc.answer {
				t.Errorf("the answer has %d bytes, want the %d that were sent", len(got), len(tc.answer))
			}
		})
	}
}
