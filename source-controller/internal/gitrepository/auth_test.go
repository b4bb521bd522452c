package gitrepository_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/source-controller/internal/sourcetest"
)

// What nobody but a server may see. None is part of another.
const (
	user       = "deploy-robot"
	password   = "hunter2-password"
	token      = "t0ken-of-the-bearer"
	passphrase = "open-sesame-phrase"
	wrong      = "not-what-is-asked"
)

// servers are git servers with one commit each, by how they let clients in.
type servers struct {
	basic, bearer, tls, ssh *gitservertest.Server
	revision                string
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{
		basic:  gitservertest.Start(t, gitserver.Options{Username: user, Password: password}),
		bearer: gitservertest.Start(t, gitserver.Options{BearerToken: token}),
		tls:    gitservertest.StartTLS(t, gitserver.Options{}),
		ssh:    gitservertest.Start(t, gitserver.Options{}),
	}
	for _, server := range []*gitservertest.Server{s.basic, s.bearer, s.tls, s.ssh} {
		s.revision = "main@sha1:" + server.Repo("fleet").Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	}
	return s
}

// secrets returns what must not be shown of the keys of the SSH server too.
func (s *servers) secrets() []string {
	key := strings.Split(string(s.ssh.SSH().ClientKey.PEM()), "\n")
	return []string{password, token, passphrase, wrong, key[1], key[2]}
}

// withUser returns a URL with a user name and a password.
func withUser(url, user, password string) string {
	return strings.Replace(url, "://", "://"+user+":"+password+"@", 1)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	key := s.ssh.SSH().ClientKey
	encrypted, err := key.EncryptedPEM(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	knownHosts := string(s.ssh.SSH().KnownHosts)
	tests := map[string]struct {
		url    string
		secret map[string]string // nil: no Secret
	}{
		"basic":         {url: s.basic.URL("fleet"), secret: map[string]string{"username": user, "password": password}},
		"bearer":        {url: s.bearer.URL("fleet"), secret: map[string]string{"bearerToken": token}},
		"url":           {url: withUser(s.basic.URL("fleet"), user, password)},
		"secret-wins":   {url: withUser(s.basic.URL("fleet"), user, wrong), secret: map[string]string{"username": user, "password": password}},
		"url-beside-ca": {url: withUser(s.basic.URL("fleet"), user, password), secret: map[string]string{"ca.crt": string(s.tls.CA)}},
		"ca":            {url: s.tls.URL("fleet"), secret: map[string]string{"ca.crt": string(s.tls.CA)}},
		"legacy-ca":     {url: s.tls.URL("fleet"), secret: map[string]string{"caFile": string(s.tls.CA)}},
		"ca-wins":       {url: s.tls.URL("fleet"), secret: map[string]string{"ca.crt": string(s.tls.CA), "caFile": "no certificate"}},
		"ssh":           {url: s.ssh.SSHURL("fleet"), secret: map[string]string{"identity": string(key.PEM()), "known_hosts": knownHosts}},
		"ssh-encrypted": {url: s.ssh.SSHURL("fleet"), secret: map[string]string{"identity": string(encrypted), "password": passphrase, "known_hosts": knownHosts}},
		"ssh-no-user":   {url: strings.Replace(s.ssh.SSHURL("fleet"), "git@", "", 1), secret: map[string]string{"identity": string(key.PEM()), "known_hosts": knownHosts}},
	}
	var repos []*sourcev1.GitRepository
	for name, tc := range tests {
		repos = append(repos, w.source(name, func(spec *sourcev1.GitRepositorySpec) {
			spec.URL = tc.url
			if tc.secret != nil {
				spec.SecretRef = w.Secret(name, tc.secret)
			}
		}))
	}
	for _, repo := range repos {
		w.WaitPublished(repo, s.revision)
		if got := w.Content(repo)["app.yaml"]; got != "kind: App\n" {
			t.Errorf("%s: app.yaml is %q", repo.Name, got)
		}
		w.expectHidden(repo, s.secrets()...)
	}
	// A commit more: over SSH, the pack comes through what the refs came through.
	for _, server := range []*gitservertest.Server{s.basic, s.bearer, s.tls, s.ssh} {
		s.revision = "main@sha1:" + server.Repo("fleet").Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
	}
	for _, repo := range repos {
		w.Poke(repo)
		w.WaitPublished(repo, s.revision)
	}
}

func TestCredentialsThatDoNotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	ssh := s.ssh.SSH()
	other, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := ssh.ClientKey.EncryptedPEM(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	identity, knownHosts := string(ssh.ClientKey.PEM()), string(ssh.KnownHosts)
	type data = map[string]string
	tests := map[string]struct {
		url    string
		secret data // nil: none is named
		gone   bool // the Secret is named, and is not there
		says   []string
	}{
		"no-secret":       {url: s.basic.URL("fleet"), gone: true, says: []string{"failed to get secret 'NS/no-secret'", "not found"}},
		"none-given":      {url: s.basic.URL("fleet"), says: []string{"it wants credentials, and none are given"}},
		"wrong-password":  {url: s.basic.URL("fleet"), secret: data{"username": user, "password": wrong}, says: []string{"it refuses the credentials"}},
		"wrong-token":     {url: s.bearer.URL("fleet"), secret: data{"bearerToken": wrong}, says: []string{"it refuses the credentials"}},
		"wrong-in-url":    {url: withUser(s.basic.URL("fleet"), user, wrong), says: []string{"it refuses the credentials"}},
		"no-password":     {url: s.basic.URL("fleet"), secret: data{"username": user}, says: []string{"secret 'NS/no-password': only one of the keys", `"password"`}},
		"no-username":     {url: s.basic.URL("fleet"), secret: data{"password": password}, says: []string{"secret 'NS/no-username': only one of the keys", `"username"`}},
		"two-ways":        {url: s.basic.URL("fleet"), secret: data{"username": user, "password": password, "bearerToken": token}, says: []string{`both "bearerToken" and "password"`}},
		"line-in-token":   {url: s.bearer.URL("fleet"), secret: data{"bearerToken": token + "\nX-Evil: yes"}, says: []string{`"bearerToken" has a line break`}},
		"ca-of-others":    {url: s.tls.URL("fleet"), says: []string{"remote is not trusted", "certificate"}},
		"ca-that-is-none": {url: s.tls.URL("fleet"), secret: data{"ca.crt": wrong}, says: []string{`"ca.crt" holds no PEM certificate`}},
		"ssh-none-given":  {url: s.ssh.SSHURL("fleet"), says: []string{"an ssh URL needs a secret with the keys identity and known_hosts"}},
		"no-identity":     {url: s.ssh.SSHURL("fleet"), secret: data{"known_hosts": knownHosts}, says: []string{`secret 'NS/no-identity' has no key "identity"`}},
		"no-known-hosts":  {url: s.ssh.SSHURL("fleet"), secret: data{"identity": identity}, says: []string{`secret 'NS/no-known-hosts' has no key "known_hosts"`}},
		"bad-identity":    {url: s.ssh.SSHURL("fleet"), secret: data{"identity": wrong, "known_hosts": knownHosts}, says: []string{`key "identity" of the secret 'NS/bad-identity' is no private key`}},
		"no-passphrase": {
			url: s.ssh.SSHURL("fleet"), secret: data{"identity": string(encrypted), "known_hosts": knownHosts},
			says: []string{"SSH identity key is encrypted but no 'password' field was provided in the secret 'NS/no-passphrase'"},
		},
		"bad-passphrase":  {url: s.ssh.SSHURL("fleet"), secret: data{"identity": string(encrypted), "password": wrong, "known_hosts": knownHosts}, says: []string{"'password' field in the secret 'NS/bad-passphrase' does not decrypt"}},
		"refused-key":     {url: s.ssh.SSHURL("fleet"), secret: data{"identity": string(other.PEM()), "known_hosts": knownHosts}, says: []string{"it refuses the SSH identity"}},
		"unknown-host":    {url: s.ssh.SSHURL("fleet"), secret: data{"identity": identity, "known_hosts": string(gitserver.KnownHosts("git.example.com", ssh.HostKey.Public()))}, says: []string{"remote is not trusted", "known_hosts has no key of"}},
		"changed-host":    {url: s.ssh.SSHURL("fleet"), secret: data{"identity": identity, "known_hosts": string(gitserver.KnownHosts(ssh.Addr, other.Public()))}, says: []string{"remote is not trusted", "its host key is not the one"}},
		"bad-known-hosts": {url: s.ssh.SSHURL("fleet"), secret: data{"identity": identity, "known_hosts": wrong}, says: []string{"known_hosts"}},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, func(spec *sourcev1.GitRepositorySpec) {
			spec.URL = tc.url
			if tc.secret != nil {
				spec.SecretRef = w.Secret(name, tc.secret)
			} else if tc.gone {
				spec.SecretRef = &meta.LocalObjectReference{Name: name}
			}
		})
	}
	for name, tc := range tests {
		repo := repos[name]
		c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
		for _, part := range tc.says {
			if part = strings.ReplaceAll(part, "NS", w.Namespace); !strings.Contains(c.Message, part) {
				t.Errorf("%s: the condition says\n%s\nwant it to say %q", name, c.Message, part)
			}
		}
		if strings.Count(c.Message, "'"+w.Namespace+"/"+name+"'") > 1 {
			t.Errorf("%s: the condition says\n%s\nwant it to name the Secret once", name, c.Message)
		}
		w.expectRefused(repo, false, sourcev1.ConditionFetchFailed, c)
		w.WaitEvent(repo, corev1.EventTypeWarning, sourcev1.ReasonAuthenticationFailed, c.Message)
		w.expectHidden(repo, s.secrets()...)
	}
}

// expectHidden fails the test if a secret is in the status of repo, in an event or in
// the log. The spec is the user's own.
func (w *world) expectHidden(repo *sourcev1.GitRepository, secrets ...string) {
	w.t.Helper()
	shown := repo.DeepCopy()
	shown.Spec = sourcev1.GitRepositorySpec{}
	var events corev1.EventList
	if err := w.Client.List(w.t.Context(), &events, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	texts := map[string]string{"the log": w.Log.String()}
	for what, v := range map[string]any{"the object": shown, "the events": events} {
		text, err := yaml.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		texts[what] = string(text)
	}
	for what, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))) {
				w.t.Errorf("%s: %s shows the secret %q:\n%s", repo.Name, what, secret, text)
			}
		}
	}
}

// TestCredentialsStayWithTheirHost: a server that redirects gets others to see them
// otherwise.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		rw.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(elsewhere.Close)

	s.basic.Faults.Set(gitserver.Redirect(elsewhere.URL))
	repo := w.source("refs", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.SecretRef = s.basic.URL("fleet"), w.Secret("basic", map[string]string{"username": user, "password": password})
	})
	c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	if !sourcetest.Says(c.Message, "redirected to host", strings.TrimPrefix(elsewhere.URL, "http://"), "change spec.url") {
		t.Errorf("the condition says %q; want it to name the other host, and what to do", c.Message)
	}
	s.bearer.Faults.Set(gitserver.Only(gitserver.UploadPack, gitserver.Redirect(elsewhere.URL)))
	repo = w.source("pack", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.SecretRef = s.bearer.URL("fleet"), w.Secret("bearer", map[string]string{"bearerToken": token})
	})
	w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonGitOperationFailed)
	if n := asked.Load(); n != 0 {
		t.Errorf("the other host was asked %d times; want never", n)
	}
	w.expectHidden(repo, s.secrets()...)
}

// TestRedirectWithoutCredentials is one that repositories leave behind that have moved.
func TestRedirectWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	old := gitservertest.Start(t, gitserver.Options{})
	old.Faults.Set(gitserver.Redirect(strings.TrimSuffix(w.git.URL(""), "/")))
	repo := w.source("fleet", func(spec *sourcev1.GitRepositorySpec) { spec.URL = old.URL("fleet") })
	w.WaitPublished(repo, "main@sha1:"+rev)
}

func TestRotatedSecretWorksAtTheNextRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	repo := w.source("fleet", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.SecretRef = s.basic.URL("fleet"), w.Secret("basic", map[string]string{"username": user, "password": wrong})
	})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "basic"}}
	w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.Patch(secret, "test", "stringData: {password: "+password+"}")
	w.WaitPublished(repo, s.revision)
	w.expectHealed(repo)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)

	w.Patch(secret, "test", "stringData: {password: "+wrong+"}")
	w.Poke(repo)
	w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.Download(repo) // it stays

	w.Patch(secret, "test", "stringData: {password: "+password+"}")
	w.WaitPublished(repo, s.revision)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonSucceeded, "stored artifact for revision '"+s.revision+"'")
}

// TestRotationIsNoticedAtOnce: nobody asks for a run, and the interval is an hour.
func TestRotationIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	repo := w.source("fleet", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.SecretRef = s.basic.URL("fleet"), w.Secret("basic", map[string]string{"username": user, "password": password})
	})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "basic"}}
	w.WaitPublished(repo, s.revision)
	w.Settle()
	w.Patch(secret, "test", "stringData: {password: "+wrong+"}")
	w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.Patch(secret, "test", "stringData: {password: "+password+"}")
	w.WaitPublished(repo, s.revision)
}

// TestSecretThatComesLater is noticed at once too, however long a retry would take.
func TestSecretThatComesLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--min-retry-delay=1h", "--max-retry-delay=1h")
	s := startServers(t)
	repo := w.source("fleet", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.SecretRef = s.basic.URL("fleet"), &meta.LocalObjectReference{Name: "basic"}
	})
	w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.Settle()
	w.Secret("basic", map[string]string{"username": user, "password": password})
	w.WaitPublished(repo, s.revision)
}
