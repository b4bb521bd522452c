package verb_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/pkg/testplane"
)

// thinker says yes, and remembers when.
type thinker struct{ answered time.Time }

func (r *thinker) Read(p []byte) (int, error) {
	r.answered = time.Now()
	return copy(p, "y\n"), nil
}

// TestThinkingIsNoWaiting: --timeout is what the cluster may take. Who is asked may take
// longer.
func TestThinkingIsNoWaiting(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet", Namespace: p.Namespace},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://example.com/fleet", Interval: metav1.Duration{Duration: time.Hour}},
	}
	if err := p.Client.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	var in thinker
	s := session.New(session.Streams{In: &in, Out: &said, Err: &said}, func(string) string { return "" })
	var until time.Time
	s.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodDelete {
				until, _ = r.Context().Deadline()
			}
			return next.RoundTrip(r)
		})
	}
	code := verb.Run(t.Context(), s, []string{"--kubeconfig", p.Kubeconfig(), "-n", p.Namespace, "--timeout", "3m", "delete", "source", "git", "fleet"})
	if code != 0 || p.Get(repo) && repo.DeletionTimestamp == nil {
		t.Fatalf("exit code %d, and it is there:\n%s", code, &said)
	}
	if since := in.answered.Add(3 * time.Minute); until.Before(since) {
		t.Errorf("the deletion may take %s less than the timeout", since.Sub(until))
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
