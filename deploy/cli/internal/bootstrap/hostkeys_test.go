package bootstrap_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
)

// hostKey makes a key, and the line by which a host with it is known.
func hostKey(t *testing.T, addr string) (line string, key ssh.PublicKey) {
	t.Helper()
	made, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return string(gitserver.KnownHosts(addr, made.Public())), made.Public()
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	const url = "ssh://git@git.example.com/team/fleet"
	cluster, _ := hostKey(t, "git.example.com:22")
	user, _ := hostKey(t, "git.example.com:22")
	shown, key := hostKey(t, "git.example.com:22")
	old, _ := hostKey(t, "old.example.com:22")
	port, _ := hostKey(t, "git.example.com:2222")
	tests := map[string]struct {
		why           string
		have, trusted string
		want          string
	}{
		"the cluster knows it":          {why: "it works with that", have: old + cluster, trusted: user, want: old + cluster},
		"the cluster knows another":     {why: "it has moved", have: old, want: shown},
		"the cluster knows its port":    {why: "another server listens there", have: port, want: shown},
		"the user knows it":             {why: "that is better than to believe who answers", have: old, trusted: old + user, want: user},
		"nobody knows it":               {why: "it must be known by something", want: shown},
		"what the cluster has is waste": {why: "nobody could get in by it", have: "nonsense", want: shown},
	}
	for name, tc := range tests {
		said := new(lines)
		h := bootstrap.HostKeys{Trusted: []byte(tc.trusted), Tell: said, Scan: func(_ context.Context, of string) ([]byte, error) {
			if of != url {
				t.Errorf("%s: %q is asked", name, of)
			}
			return []byte(shown), nil
		}}
		got, err := h.Of(t.Context(), url, []byte(tc.have))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %q, %v; want %q (%s)", name, got, err, tc.want, tc.why)
		}
		if told := strings.Contains(said.String(), ssh.FingerprintSHA256(key)); told != (tc.want == shown) {
			t.Errorf("%s: the fingerprint is told: %t\n%s", name, told, said)
		}
	}
}

// TestOtherHost: a cluster that has moved gets to know the host that it has moved to.
func TestOtherHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.GitHub)
	w.must(nil)
	if told := ssh.FingerprintSHA256(w.ssh.SSH().HostKey.Public()); !strings.Contains(w.said.String(), told) {
		t.Errorf("the fingerprint %s of the host is not told:\n%s", told, w.said)
	}
	identity := string(w.secret()["identity"])
	old, _ := hostKey(t, "old.example.com:22")
	w.know(old)
	w.said.all = nil
	w.must(func(b *bootstrap.Bootstrap) { b.Trusted = w.ssh.SSH().KnownHosts })
	if got := string(w.secret()["known_hosts"]); got != string(w.ssh.SSH().KnownHosts) {
		t.Errorf("known_hosts are %q", got)
	}
	if string(w.secret()["identity"]) != identity {
		t.Error("the key is another, too")
	}
	if strings.Contains(w.said.String(), "SHA256:") {
		t.Errorf("the host is asked, although the user knows it:\n%s", w.said)
	}
}

// know has the cluster know other hosts than it does.
func (w *world) know(lines string) {
	w.t.Helper()
	s := corev1.Secret{}
	s.Name, s.Namespace = w.Namespace, w.Namespace
	if !w.Get(&s) {
		w.t.Fatal("there is no Secret")
	}
	s.Data["known_hosts"] = []byte(lines)
	if err := w.Client.Update(w.t.Context(), &s); err != nil {
		w.t.Fatal(err)
	}
}

// TestReplacedHostKey: who is not known any more is not believed, and it is said what to do
// once that is right.
func TestReplacedHostKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.must(nil)
	other, _ := hostKey(t, w.ssh.SSH().Addr)
	byKey := func(b *bootstrap.Bootstrap) { b.Host, b.Login.Identity = nil, w.ssh.SSH().ClientKey.PEM() }
	for name, edit := range map[string]func(*bootstrap.Bootstrap){"with a host": nil, "alone": byKey} {
		w.know(other)
		source, _, _ := w.objects()
		w.WaitCondition(source, meta.ReadyCondition, metav1.ConditionFalse, "Failed")
		_, err := w.run(edit)
		var refused *bootstrap.Refusal
		if !errors.As(err, &refused) || refused.Reason != bootstrap.NoAccess {
			t.Fatalf("%s: error %v, want NoAccess", name, err)
		}
		host, _, _ := strings.Cut(other, " ")
		for _, want := range []string{"kubectl -n " + w.Namespace + " patch secret " + w.Namespace, `"path":"/data/known_hosts"`, "ssh-keygen -R '" + host + "'"} {
			if !strings.Contains(refused.Next, want) {
				t.Errorf("%s: it does not say %q: %s", name, want, refused.Next)
			}
		}
	}
	w.know("")
	w.must(nil)
	if got := string(w.secret()["known_hosts"]); got != string(w.ssh.SSH().KnownHosts) {
		t.Errorf("known_hosts are %q", got)
	}
}
