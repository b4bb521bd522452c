package tenant_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/tenant"
)

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://k8s.example.com:6443", CLUSTER}}]
users: [{name: u, user: {USER}}]
`

func TestParse(t *testing.T) {
	t.Parallel()
	const host = "https://k8s.example.com:6443"
	tests := map[string]struct {
		why           string
		cluster, user string
		allow         tenant.Kubeconfigs
		want          rest.Config
		exec          bool
	}{
		"a token": {user: "token: t", want: rest.Config{Host: host, BearerToken: "t"}},
		"a login": {user: "username: name, password: p", want: rest.Config{Host: host, Username: "name", Password: "p"}},
		"a certificate": {
			cluster: "certificate-authority-data: Y2E=", user: "client-certificate-data: Y3J0, client-key-data: a2V5",
			want: rest.Config{Host: host, TLSClientConfig: rest.TLSClientConfig{CAData: []byte("ca"), CertData: []byte("crt"), KeyData: []byte("key")}},
		},
		"unverified": {
			why: "nobody may turn that off for us", cluster: "insecure-skip-tls-verify: true", user: "token: t",
			want: rest.Config{Host: host, BearerToken: "t"},
		},
		"unverified, allowed": {
			cluster: "insecure-skip-tls-verify: true", user: "token: t", allow: tenant.Kubeconfigs{InsecureTLS: true},
			want: rest.Config{Host: host, BearerToken: "t", TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
		},
		"a program": {
			why: "it would run as the controller", user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: steal, interactiveMode: Never}",
			want: rest.Config{Host: host},
		},
		"a program, allowed": {
			user:  "exec: {apiVersion: client.authentication.k8s.io/v1, command: login, interactiveMode: IfAvailable}",
			allow: tenant.Kubeconfigs{Exec: true}, want: rest.Config{Host: host}, exec: true,
		},
	}
	for name, tc := range tests {
		text := strings.NewReplacer("CLUSTER", tc.cluster, "USER", tc.user).Replace(kubeconfig)
		got, err := tc.allow.Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v (%s)", name, err, tc.why)
			continue
		}
		if runs := got.ExecProvider != nil; runs != tc.exec {
			t.Errorf("%s: a program is run: %t; want %t (%s)", name, runs, tc.exec, tc.why)
		}
		seen := rest.Config{Host: got.Host, BearerToken: got.BearerToken, Username: got.Username, Password: got.Password, TLSClientConfig: got.TLSClientConfig}
		if diff := cmp.Diff(tc.want.TLSClientConfig, seen.TLSClientConfig); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", name, tc.why, diff)
		}
		if seen.Host != tc.want.Host || seen.BearerToken != tc.want.BearerToken || seen.Username != tc.want.Username || seen.Password != tc.want.Password {
			t.Errorf("%s: %v; want %v (%s)", name, seen, tc.want, tc.why)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	fill := func(cluster, user string) string {
		return strings.NewReplacer("CLUSTER", cluster, "USER", user).Replace(kubeconfig)
	}
	for name, tc := range map[string]struct{ in, want string }{
		"no YAML":             {in: "{" + secret, want: "cannot be read"},
		"too much":            {in: strings.Repeat("#", 1<<20+1), want: "more than 1048576 are not read"},
		"no context":          {in: "apiVersion: v1\nkind: Config\n", want: "kubeconfig"},
		"the file of a CA":    {in: fill("certificate-authority: /ca.crt", "token: "+secret), want: `cluster "c" names a file`},
		"the file of a token": {in: fill("", "tokenFile: /token"), want: `user "u" names a file`},
		"the file of a cert":  {in: fill("", "client-certificate: /c.crt"), want: `user "u" names a file`},
		"the file of a key":   {in: fill("", "client-key: /c.key"), want: `user "u" names a file`},
		"no server":           {in: strings.ReplaceAll(fill("", "token: "+secret), "https://k8s.example.com:6443", "://"), want: "no URL"},
	} {
		_, err := tenant.Kubeconfigs{}.Parse([]byte(tc.in))
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error is %v; want it to say %q, and nothing that is secret", name, err, tc.want)
		}
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	if got, want := tenant.User("a", "b"), "system:serviceaccount:a:b"; got != want {
		t.Errorf("User is %q; want %q", got, want)
	}
	if got := tenant.User("a", ""); got != "" {
		t.Errorf("nobody is %q; want nothing", got)
	}
}
