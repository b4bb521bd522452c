package kustomization_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

const (
	// ageIdentity opens encryptedSecret. Neither is used for anything else.
	ageIdentity = "AGE-SECRET-KEY-13TG5GXU99XLQ0CPLSKYKRQSY4QVM5VWJRYQQHWSMZJLZFF2QPKCQ6TN8G3"

	password = "plain-text-of-it"

	encryptedSecret = `apiVersion: v1
kind: Secret
metadata:
    name: login
    namespace: NS
stringData:
    password: ENC[AES256_GCM,data:wIC15AWTU0XfmyrHNkwXZw==,iv:0b2vZXo6RFUHBmuf8PWKJq4DgSIz1h6w6ULMobsJ9Mo=,tag:aGZmBl7jpkZFVuFEZFfo0Q==,type:str]
sops:
    age:
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBHUDllWlVyTmlUbjlRYll0
            NE9USG1JNGNtVGFBT0swNHh4M1VvK25rSVFFCnZ2OWxqMCtKc01ZSFBBQUVsanpS
            cSticnJSMXNOOXY1SmN6NmtoK1pZQjAKLS0tIGR5WGZWZ2VBQzlESk9aaFR4Wnhr
            ZDc3S054TkNpOEgyZUhNUjhvZ0VsWmsKiQmh/hrv5YRhvabusq5WJpPfgQXZCKvu
            5M/9dinbeW6C6pN3hyVYTWYUJahs/ebxvn6plL5CDEF5Jv/h41Ywtw==
            -----END AGE ENCRYPTED FILE-----
          recipient: age1ufdt4n5wzy5kekxlm8k0ez3vnwsy3ke3y59sxkuqufj8qhh2tpmqdvut3h
    encrypted_regex: ^(data|stringData)$
    lastmodified: "2026-01-01T00:00:00Z"
    mac: ENC[AES256_GCM,data:di0xQUCuLHJF+ooSdsxwU+7EHVKSFhhrzMfGvFlvsDmsnnxRSsSii3aZq+WV9Y/F1qV2pUA+J+0lKx1aLr7ZPstTwMoWtN/5lJnenvrBcQEbeu4JdAt7Dg0MlNX6+zg6/0RK32I7sHQ+HGYhJE2LWuHoqh0mdZV+dj09/2j9dpI=,iv:H/ZtAexF7E65TOEJyp3HWXZaH+uhR1/nxYuhefMs8dI=,tag:FitekSiq2myg6ItflVmvbA==,type:str]
    version: 3.13.3
`
)

func sops(secret string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) {
		s.Decryption = &kustomizev1.DecryptionSpec{Provider: "sops"}
		if secret != "" {
			s.Decryption.SecretRef = &meta.LocalObjectReference{Name: secret}
		}
	}
}

// ageKeys creates a Secret with an age identity.
func (w *world) ageKeys(name, identity string) *corev1.Secret {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"team.agekey": identity}}
	w.Create(secret)
	return secret
}

// waitPassword waits until the Secret is there, decrypted.
func (w *world) waitPassword() {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "login"}}
	w.Wait("the Secret, decrypted", secret, func() bool { return string(secret.Data["password"]) == password })
}

func TestEncryptedSecretIsDecrypted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ageKeys("keys", ageIdentity)
	w.waitApplied(w.kustomization("app", "", sops("keys")), w.publish(map[string]string{"s.yaml": encryptedSecret}))
	w.waitPassword()
}

func TestSharedAgeKeysDecryptForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--sops-age-secret=for-all")
	w.ageKeys("for-all", ageIdentity)
	w.waitApplied(w.kustomization("app", "", sops("")), w.publish(map[string]string{"s.yaml": encryptedSecret}))
	w.waitPassword()
}

func TestEncryptedSecretThatCannotBeDecrypted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ageKeys("broken", "AGE-SECRET-KEY-1BROKEN")
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "empty"}})
	w.publish(map[string]string{"s.yaml": encryptedSecret})
	plain := func(*kustomizev1.KustomizationSpec) {}
	for name, tc := range map[string]struct {
		adjust func(*kustomizev1.KustomizationSpec)
		reason string
		want   []string
	}{
		"not-asked-for": {adjust: plain, reason: kustomizev1.ReasonReconciliationFailed, want: []string{"login", "is SOPS encrypted, configuring decryption is required"}},
		"no-secret":     {adjust: sops("gone"), want: []string{"/gone'", `secrets "gone" not found`}},
		"broken-key":    {adjust: sops("broken"), want: []string{"/broken'", `"team.agekey"`}},
		"no-keys":       {adjust: sops("empty"), want: []string{"login", "data key"}},
	} {
		ks := w.kustomization(name, "", tc.adjust)
		w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, cmp.Or(tc.reason, kustomizev1.ReasonBuildFailed))
		for _, part := range tc.want {
			if !strings.Contains(readyMessage(ks), part) {
				t.Errorf("%s: Ready says %q; want it to say %q", name, readyMessage(ks), part)
			}
		}
		if strings.Contains(readyMessage(ks), "BROKEN") {
			t.Errorf("%s: Ready says %q, with a key", name, readyMessage(ks))
		}
	}
	if w.Get(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "login"}}) {
		t.Error("the Secret was applied as it is")
	}
	// The keys are mended: nobody waits for the interval of an hour.
	w.Patch(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "broken"}}, "test", "stringData: {team.agekey: "+ageIdentity+"}")
	w.waitPassword()
}

func TestDecryptionAsServiceAccountTakesItsGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.Decryption = &kustomizev1.DecryptionSpec{Provider: "sops", ServiceAccountName: "team"}
	})
	w.publish(map[string]string{"s.yaml": encryptedSecret})
	w.WaitCondition(ks, kustomizev1.ConditionStalled, metav1.ConditionTrue, kustomizev1.ReasonFeatureGateDisabled)
	if want := "spec.decryption.serviceAccountName"; !strings.Contains(readyMessage(ks), want) {
		t.Errorf("Ready says %q; want it to name %s", readyMessage(ks), want)
	}
}
