package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/build"
)

func TestDecryptConceals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		from, to build.Format
		in, want string
	}{
		"values of a document": {
			why: "what is not encrypted is to be compared", from: build.YAML, to: build.YAML,
			in:   "a: ENC[AES256_GCM,data:x]\nb: plain\nc:\n- ENC[AES256_GCM,data:y]\n- d: ENC[AES256_GCM,data:z]\nsops:\n  mac: ENC[AES256_GCM,data:m]\n",
			want: "a: '**SOPS**'\nb: plain\nc:\n- '**SOPS**'\n- d: '**SOPS**'\n",
		},
		"data of a Secret": {
			why: "the API server takes nothing there but base64", from: build.JSON, to: build.JSON,
			in:   `{"kind":"Secret","data":{"a":"ENC[x]"},"stringData":{"b":"ENC[y]"},"sops":{}}`,
			want: `{"data":{"a":"KipTT1BTKio="},"kind":"Secret","stringData":{"b":"**SOPS**"}}`,
		},
		"a login to registries": {
			why: "the API server wants to be sure that it is JSON", from: build.JSON, to: build.JSON,
			in:   `{"kind":"Secret","data":{".dockerconfigjson":"ENC[x]"},"sops":{}}`,
			want: `{"data":{".dockerconfigjson":"eyIqKlNPUFMqKiI6e319"},"kind":"Secret"}`,
		},
		"a file as a whole":   {why: "its content is unknown", from: build.Binary, to: build.Binary, in: `{"data":"ENC[x]"}`, want: "**SOPS**"},
		"a document in a key": {why: "what the file holds is unknown", from: build.JSON, to: build.Binary, in: `{"data":"ENC[x]"}`, want: "**SOPS**"},
		"lines": {
			why: "generators make keys of them", from: build.Dotenv, to: build.Dotenv,
			in: "A=ENC[x]\nB=plain\nsops_mac=ENC[m]\n", want: "A=**SOPS**\nB=plain\n",
		},
		"sections": {
			why: "the last one is that of SOPS", from: build.INI, to: build.INI,
			in: "[one]\na = ENC[x]\n[sops]\nmac = ENC[m]\n", want: "[one]\na =**SOPS**\n",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := concealer{}.Decrypt([]byte(tc.in), tc.from, tc.to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("-want +got (%s):\n%s", tc.why, diff)
			}
		})
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	t.Parallel()
	_, err := concealer{}.Decrypt([]byte("- ENC[tell-nobody]\n"), build.YAML, build.YAML)
	if err == nil || strings.Contains(err.Error(), "tell-nobody") {
		t.Errorf("the error is %v, want one that tells nothing of the content", err)
	}
}

func TestConcealBoth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why                            string
		was, would, wantWas, wantWould string
	}{
		"a Secret": {
			why:       "which values differ is to be seen, and no value",
			was:       "{apiVersion: v1, kind: Secret, data: {same: YQ==, changed: Yg==, gone: Yw==}}",
			would:     "{apiVersion: v1, kind: Secret, data: {same: YQ==, changed: ZA==, new: ZQ==}}",
			wantWas:   "{apiVersion: v1, kind: Secret, data: {same: '***', changed: '*** (before)', gone: '*** (before)'}}",
			wantWould: "{apiVersion: v1, kind: Secret, data: {same: '***', changed: '*** (after)', new: '*** (after)'}}",
		},
		"an encrypted Secret": {
			why:       "its values are unknown, so they count as unchanged",
			was:       "{apiVersion: v1, kind: Secret, data: {a: YQ==}}",
			would:     "{apiVersion: v1, kind: Secret, data: {a: KipTT1BTKio=}}",
			wantWas:   "{apiVersion: v1, kind: Secret, data: {a: '***'}}",
			wantWould: "{apiVersion: v1, kind: Secret, data: {a: '***'}}",
		},
		"encrypted values of others": {
			why:       "only what can be known is compared",
			was:       "{apiVersion: example.com/v1, kind: Vault, spec: {keys: [{a: one, b: two}], name: x}}",
			would:     "{apiVersion: example.com/v1, kind: Vault, spec: {keys: [{a: '**SOPS**', b: three}], name: x}}",
			wantWas:   "{apiVersion: example.com/v1, kind: Vault, spec: {keys: [{a: '**SOPS**', b: '***'}], name: x}}",
			wantWould: "{apiVersion: example.com/v1, kind: Vault, spec: {keys: [{a: '**SOPS**', b: three}], name: x}}",
		},
		"encrypted values that are removed": {
			why:       "the cluster has them in plain text, and nothing says any more that they were encrypted",
			was:       "{apiVersion: example.com/v1, kind: Vault, metadata: {name: x}, spec: {a: one, old: tell-nobody, list: [tell-nobody, two], size: 3, kept: yes}}",
			would:     "{apiVersion: example.com/v1, kind: Vault, metadata: {name: x}, spec: {a: '**SOPS**', list: ['**SOPS**'], size: 4, kept: yes}}",
			wantWas:   "{apiVersion: example.com/v1, kind: Vault, metadata: {name: x}, spec: {a: '**SOPS**', old: '***', list: ['***', '***'], size: '***', kept: yes}}",
			wantWould: "{apiVersion: example.com/v1, kind: Vault, metadata: {name: x}, spec: {a: '**SOPS**', list: ['**SOPS**'], size: 4, kept: yes}}",
		},
		"what is called Secret elsewhere": {
			why:       "it is another kind",
			was:       "{apiVersion: example.com/v1, kind: Secret, data: {a: b}}",
			would:     "{apiVersion: example.com/v1, kind: Secret, data: {a: c}}",
			wantWas:   "{apiVersion: example.com/v1, kind: Secret, data: {a: b}}",
			wantWould: "{apiVersion: example.com/v1, kind: Secret, data: {a: c}}",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			was, would := object(t, tc.was), object(t, tc.would)
			concealBoth(was, would)
			if diff := cmp.Diff(object(t, tc.wantWas), was); diff != "" {
				t.Errorf("before, -want +got (%s):\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(object(t, tc.wantWould), would); diff != "" {
				t.Errorf("after, -want +got (%s):\n%s", tc.why, diff)
			}
		})
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}
