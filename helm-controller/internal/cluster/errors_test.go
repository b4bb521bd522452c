package cluster_test

import (
	"strings"
	"testing"
)

// TestErrorsSayWhatToDo: about which object, and what can be done.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		template string
		want     []string
	}{
		"a kind that is not served": {
			template: "apiVersion: example.com/v1\nkind: Lamp\nmetadata: {name: x}\n",
			want:     []string{"Lamp/x", `kind "Lamp" of "example.com/v1" is not served`, "install its definition"},
		},
		"a version that is not served": {
			template: "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: x}\n",
			want:     []string{"Deployment/x", `"apps/v1beta1" is not served`, "use a version of the API that is served"},
		},
		"a namespace that is missing": {
			template: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: NS-none}\n",
			want:     []string{"ConfigMap/NS-none/x", `create the namespace "NS-none"`},
		},
		"a label that is no text": {
			why:      "the SDK would lose all labels",
			template: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {enabled: true}}\n",
			want:     []string{"ConfigMap/x", `metadata.labels["enabled"] is no text`, "quote it"},
		},
		"an object that stands twice": {
			template: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
			want:     []string{"ConfigMap/NS/x is defined twice"},
		},
		"an object that is refused": {
			template: "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 123456}]}\n",
			want:     []string{"Service/NS/x", "spec.ports[0].port", "123456"},
		},
		"a Secret that is refused": {
			why:      "what is in it is not told",
			template: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: 'topsecret'}\n",
			want:     []string{"Secret/NS/x"},
		},
	}
	w := newWorld(t, "")
	for name, tc := range tests {
		_, err := w.install(w.chart(tc.template))
		w.says(err, tc.want...)
		if strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "dG9wc2VjcmV0") {
			t.Errorf("%s: the error tells what is in a Secret: %v (%s)", name, err, tc.why)
		}
		w.forgetRelease()
	}
}

// forgetRelease takes the release out of the storage.
func (w *world) forgetRelease() {
	all, err := w.storage.History("rel")
	if err != nil {
		return // there is none
	}
	for _, r := range all {
		if _, err := w.storage.Delete(r.Name, r.Version); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestSecretsAreNotTold: nor by the SDK's own client, whose errors quote the whole object
// when a change of it is refused.
func TestSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	secret := func(pin, metadata string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, " + metadata + "}\nstringData: {password: topsecret, pin: " + pin + "}\ndata: {other: eWV0LXNlY3JldA==}\n"
	}
	tests := map[string]struct {
		metadata string
		method   setting
	}{
		"server-side": {metadata: "OWNED", method: methods()["server-side"]},
		"client-side": {metadata: "OWNED", method: methods()["client-side"]},
		"of a hook":   {metadata: hook("pre-install,pre-upgrade", "hook-failed"), method: methods()["server-side"]},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.must(w.install(w.chart(secret("'none'", tc.metadata)), tc.method))
			_, err := w.upgrade(w.chart(secret("987654321", tc.metadata)), tc.method)
			w.says(err, "s")
			for _, value := range []string{"topsecret", "yet-secret", "dG9wc2VjcmV0", "eWV0LXNlY3JldA", "987654321"} {
				if strings.Contains(err.Error(), value) || strings.Contains(w.logged(), value) {
					t.Errorf("%q is told: %v\n%s", value, err, w.logged())
				}
			}
		})
	}
}
