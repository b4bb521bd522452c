package build

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// vault is a Decrypter of documents in which ENC[value] is an encrypted value.
type vault struct {
	asked []string // from and to what format
	err   error
}

var sealed = regexp.MustCompile(`ENC\[(.*?)\]`)

func (v *vault) Decrypt(document []byte, from, to Format) ([]byte, error) {
	v.asked = append(v.asked, fmt.Sprintf("%s to %s", from, to))
	if v.err != nil {
		return nil, v.err
	}
	if from != JSON && from != Binary {
		lines := slices.DeleteFunc(strings.Split(string(document), "\n"), func(line string) bool {
			return strings.Contains(line, "sops") || strings.Contains(line, "mac")
		})
		return []byte(sealed.ReplaceAllString(strings.Join(lines, "\n"), "$1")), nil
	}
	var values map[string]any
	if err := json.Unmarshal(document, &values); err != nil {
		return nil, err
	}
	delete(values, "sops")
	if to == Binary {
		return []byte(sealed.ReplaceAllString(fmt.Sprint(values["data"]), "$1")), nil
	}
	out, err := json.Marshal(values)
	return []byte(sealed.ReplaceAllString(string(out), "$1")), err
}

const (
	sealedDotenv = "A=ENC[one]\nsops_mac=ENC[x]\n"
	sealedYAML   = "a: ENC[one]\nsops:\n    mac: ENC[x]\n"
	sealedJSON   = `{"a": "ENC[one]", "sops": {"mac": "ENC[x]"}}`
	sealedINI    = "[s]\na = ENC[one]\n\n[sops]\nmac = ENC[x]\n"
	sealedBinary = `{"data": "ENC[one]", "sops": {"mac": "ENC[x]"}}`
)

// sealedSecret is a Secret that is encrypted as a whole.
const sealedSecret = `apiVersion: v1
kind: Secret
metadata: {name: s, namespace: ns}
stringData: {a: "ENC[one]"}
sops: {mac: "ENC[x]"}
`

func TestDecryptsFiles(t *testing.T) {
	t.Parallel()
	patch := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: ENC[one]}\nsops:\n  mac: ENC[x]\n"
	tests := map[string]struct {
		why   string
		files map[string]string
		asked []string
		want  string // data of the one object
	}{
		"dotenv":               {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, envs: [x.env]}]", "x.env": sealedDotenv}, asked: []string{"dotenv to dotenv"}, want: "A: one\n"},
		"env without a format": {why: "it is dotenv", files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, envs: [x]}]", "x": sealedDotenv}, asked: []string{"dotenv to dotenv"}, want: "A: one\n"},
		"old env field":        {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, env: x}]", "x": sealedDotenv}, asked: []string{"dotenv to dotenv"}, want: "A: one\n"},
		"file by its name":     {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [x.yaml]}]", "x.yaml": sealedYAML}, asked: []string{"yaml to yaml"}, want: "x.yaml: |\n  a: one\n"},
		"file by its key": {
			why: "the key says how the Secret is read", files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [x.ini=x]}]", "x": sealedINI},
			asked: []string{"ini to ini"}, want: "x.ini: |+\n  [s]\n  a = one\n\n",
		},
		"docker configuration": {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [.dockerconfigjson=x]}]", "x": sealedJSON}, asked: []string{"json to json"}, want: ".dockerconfigjson: '{\"a\":\"one\"}'\n"},
		"binary":               {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [key]}]", "key": sealedBinary}, asked: []string{"binary to binary"}, want: "key: one\n"},
		"file of another format": {
			why:   "the file is in the Secret as it is, and decrypted there",
			files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [key=x.yaml]}]", "x.yaml": sealedYAML},
			asked: []string{"yaml to binary"}, want: "key: |\n  a: one\n",
		},
		"plain files": {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [x.yaml], envs: [x.env]}]", "x.yaml": "mac: x\n", "x.env": "A=b\n"}, want: "A: b\nx.yaml: |\n  mac: x\n"},
		"patch":       {files: map[string]string{"kustomization.yaml": "resources: [cm.yaml]\npatches: [{path: p.yaml}]", "cm.yaml": configMap, "p.yaml": patch}, asked: []string{"yaml to yaml"}, want: "a: one\n"},
		"old patch":   {files: map[string]string{"kustomization.yaml": "resources: [cm.yaml]\npatchesStrategicMerge: [p]", "cm.yaml": configMap, "p": patch}, asked: []string{"yaml to yaml"}, want: "a: one\n"},
		"base and component": {
			why: "wherever the kustomization is", asked: []string{"yaml to yaml", "dotenv to dotenv"}, want: "A: one\na: one\n",
			files: map[string]string{
				"kustomization.yaml": "resources: [base]\ncomponents: [part]", "base/kustomization.yaml": "secretGenerator: [{name: s, files: [a=x.yaml], envs: [x.env]}]",
				"base/x.env": sealedDotenv, "base/x.yaml": "one",
				"part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: p.yaml}]",
				"part/p.yaml":             strings.NewReplacer("ConfigMap", "Secret", "name: cm", "name: s", "ENC[one]", "b25l").Replace(patch),
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vault{}
			src := newMemory(tc.files)
			got, err := Run(src, Spec{}, v)
			if err != nil {
				t.Fatal(err)
			}
			data, _ := got.Objects[0].Object["data"].(map[string]any)
			for key, value := range data {
				if plain, err := base64.StdEncoding.DecodeString(value.(string)); err == nil && got.Objects[0].GetKind() == "Secret" {
					data[key] = string(plain)
				}
			}
			text, err := yaml.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(v.asked)
			slices.Sort(tc.asked)
			if diff := cmp.Diff(tc.want, string(text)); diff != "" || !slices.Equal(v.asked, tc.asked) {
				t.Errorf("decrypted %q, want %q; data (-want +got, %s):\n%s", v.asked, tc.asked, tc.why, diff)
			}
			for file := range tc.files {
				if changed := src.with(map[string]string{file: "other"}); got.Reads.Unchanged(changed) {
					t.Errorf("%s is said not to matter", file)
				}
			}
		})
	}
}

func TestDecryptsObjects(t *testing.T) {
	t.Parallel()
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	secret := func(rest string) string { return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + rest }
	tests := map[string]struct {
		why, object string
		spec        Spec
		asked       []string
		want        string
	}{
		"whole Secret":       {object: sealedSecret, asked: []string{"json to json"}, want: "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\nstringData: {a: one}\n"},
		"whole other object": {object: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: 'ENC[one]'}\nsops: {mac: x}\n", asked: []string{"json to json"}, want: configMap + "data: {a: one}\n"},
		"before variables are replaced": {
			why: "they may be encrypted", object: strings.Replace(sealedSecret, "one", "${one}", 1), spec: Spec{Substitute: &Substitution{Vars: map[string]string{"one": "two"}}},
			asked: []string{"json to json"}, want: "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\nstringData: {a: two}\n",
		},
		"values": {
			object: secret("data: {a.yaml: " + encoded(sealedYAML) + ", b: " + encoded(sealedJSON) + ", c: " + encoded("plain") + ", d: '?'}\n"),
			asked:  []string{"yaml to yaml", "json to binary"}, want: secret("data: {a.yaml: " + encoded("a: one\n") + ", b: " + encoded("<nil>") + ", c: " + encoded("plain") + ", d: '?'}\n"),
		},
		"values of others": {why: "only Secrets are base64", object: configMap + "data: {a.yaml: " + encoded(sealedYAML) + "}\n", want: configMap + "data: {a.yaml: " + encoded(sealedYAML) + "}\n"},
		"opted out": {
			why: "whatever the case", object: strings.Replace(sealedSecret, "namespace: ns", "annotations: {kustomize.toolkit.fluxcd.io/decrypt: DISABLED}", 1),
			want: strings.Replace(sealedSecret, "namespace: ns", "annotations: {kustomize.toolkit.fluxcd.io/decrypt: DISABLED}", 1),
		},
		"without a mac": {why: "it is no document of SOPS", object: configMap + "sops: {version: x}\n", want: configMap + "sops: {version: x}\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vault{}
			got, err := Run(newMemory(map[string]string{"x.yaml": tc.object}), tc.spec, v)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Objects[0].Object); diff != "" || !slices.Equal(v.asked, tc.asked) {
				t.Errorf("decrypted %q, want %q (%s); object (-want +got):\n%s", v.asked, tc.asked, tc.why, diff)
			}
			text, err := yaml.Marshal(got.Objects[0].Object)
			if err != nil {
				t.Fatal(err)
			}
			if digest := digestOf(string(text)); got.Digest != digest {
				t.Errorf("digest %s, that of the decrypted object is %s", got.Digest, digest)
			}
		})
	}
}

func TestDecryptionErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		files map[string]string
		with  Decrypter
		is    error
		want  string
	}{
		"no decrypter": {
			why: "the API server would take it", files: map[string]string{"x.yaml": sealedSecret}, is: ErrEncrypted,
			want: "Secret/ns/s is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
		},
		"no mac": {
			why: "nobody can decrypt it", files: map[string]string{"x.yaml": strings.Replace(sealedSecret, "mac:", "version:", 1)}, with: &vault{}, is: ErrEncrypted,
			want: "Secret/ns/s is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
		},
		"object":     {files: map[string]string{"x.yaml": sealedSecret}, with: &vault{err: errors.New("no key")}, is: ErrDecrypt, want: "decryption failed for 's': no key"},
		"value":      {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [key=x.yaml], options: {disableNameSuffixHash: true}}]", "x.yaml": sealedYAML}, with: &vault{err: errors.New("no key")}, is: ErrDecrypt, want: "decryption failed for 's': the Secret's key 'key': no key"},
		"file":       {files: map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, envs: [a/x.env]}]", "a/x.env": sealedDotenv}, with: &vault{err: errors.New("no key")}, is: ErrDecrypt, want: "decryption failed for 'a/x.env': no key"},
		"plain bomb": {why: "what was encrypted was not checked", files: map[string]string{"kustomization.yaml": "resources: [cm.yaml]\npatches: [{path: p.yaml}]", "cm.yaml": configMap, "p.yaml": "kind: x\na: &b\n  c: *b\nsops:\n  mac: ENC[x]\n"}, with: &vault{}, want: `p.yaml:1: the YAML anchor "b" contains itself: write out what it stands for`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newMemory(tc.files)
			got, err := Run(src, Spec{}, tc.with)
			if err == nil || err.Error() != tc.want || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("Run() = %v; want %s (%s)", err, tc.want, tc.why)
			}
			if got.Objects != nil || !got.Reads.Unchanged(src) {
				t.Errorf("after a failure: %d objects, reads %q", len(got.Objects), got.Reads.Paths())
			}
		})
	}
}

// Errors of kustomize repeat what it reads; here that is what was encrypted.
func TestDecryptedStaysOutOfErrors(t *testing.T) {
	t.Parallel()
	sealedObject := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: ENC[hunter2]}\nsops:\n  mac: ENC[x]\n"
	for name, files := range map[string]map[string]string{
		"env":             {"kustomization.yaml": "secretGenerator: [{name: s, envs: [x.env]}]", "x.env": "GOOD=x\nENC[hunter2\x00\xff]=x\nsops_mac=ENC[x]\n"},
		"patch":           {"kustomization.yaml": "resources: [cm.yaml]\npatches: [{path: p.yaml}]", "cm.yaml": configMap, "p.yaml": sealedObject},
		"patch of no use": {"kustomization.yaml": "resources: [cm.yaml]\npatches: [{path: p.yaml}]", "cm.yaml": configMap, "p.yaml": "- ENC[hunter2]\n# mac: ENC[x]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vault{}
			_, err := Run(newMemory(files), Spec{}, v)
			if err == nil || strings.Contains(err.Error(), "hunter2") || len(v.asked) == 0 {
				t.Errorf("error %v; decrypted %q", err, v.asked)
			}
		})
	}
}
