package kustomization

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/decrypt"
	"weir.dev/pkg/loop"
)

// decryptWithVault is what tokens for Vaults are counted as.
const decryptWithVault = "decrypt_with_vault"

// providerSOPS is the only kind of encryption there is.
const providerSOPS = "sops"

// Decryption is what all Kustomizations that decrypt share.
type Decryption struct {
	// DefaultServiceAccount is whose identity opens the key services of clouds for those
	// that name none; "" is the controller's.
	DefaultServiceAccount string
	// AgeSecret has age identities for all; the zero value names none.
	AgeSecret client.ObjectKey
	// VaultConfig is a ConfigMap that lists the Vaults at which ServiceAccounts log in; the
	// zero value names none.
	VaultConfig client.ObjectKey
	// VaultToken returns a token for the Vault at an address where nobody logs in; nil means
	// that there are none but those of Secrets.
	VaultToken func(address string) (creds.Hidden, error)
}

// vaultConfigKey is the key of the list in the ConfigMap.
const vaultConfigKey = "config.yaml"

// readKeys reads what opens encrypted files.
func (r *Reconciler) readKeys(ctx context.Context, s *scope) error {
	d := s.ks.Spec.Decryption
	if d == nil {
		return nil
	}
	if d.Provider != providerSOPS {
		return loop.Stall(kustomizev1.ReasonBuildFailed, fmt.Errorf("spec.decryption.provider %q is not known: use %s", d.Provider, providerSOPS))
	}
	who := cloud.Object{
		Kind: kustomizev1.KustomizationKind, Namespace: s.ks.Namespace, Name: s.ks.Name,
		ServiceAccount: d.ServiceAccountName, Default: r.opts.Decryption.DefaultServiceAccount,
	}
	account, err := r.opts.Identities.ServiceAccount(who)
	if errors.Is(err, cloud.ErrGateDisabled) {
		return loop.Stall(kustomizev1.ReasonFeatureGateDisabled, fmt.Errorf("spec.decryption.serviceAccountName needs the feature gate %s, which is off in the controller", cloud.FeatureGate))
	}
	if err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	keys, err := r.keys(ctx, s.ks)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	token, err := r.vaultTokens(ctx, s.ks, who)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonBuildFailed, err)
	}
	s.keys = keys.Fingerprint() + " " + account
	s.decrypter = decrypt.New(ctx, keys, decrypt.Options{Identities: r.opts.Identities, Object: who, VaultToken: token})
	return nil
}

// vaultTokens returns what gets tokens of Vaults.
func (r *Reconciler) vaultTokens(ctx context.Context, ks *kustomizev1.Kustomization, who cloud.Object) (func(context.Context, string) (creds.Hidden, error), error) {
	var logins decrypt.VaultLogins
	if key := r.opts.Decryption.VaultConfig; key.Name != "" {
		var config corev1.ConfigMap
		if err := r.configs(ks).Get(ctx, key, &config); err != nil {
			return nil, fmt.Errorf("reading the list of Vaults in ConfigMap '%s': %w", key, err)
		}
		var err error
		if logins, err = decrypt.ParseVaultLogins([]byte(config.Data[vaultConfigKey])); err != nil {
			return nil, fmt.Errorf("ConfigMap '%s': %w", key, err)
		}
	}
	who.Operation = decryptWithVault
	login := logins.Token(func(ctx context.Context, audience string) (creds.Hidden, error) {
		access, err := r.opts.Identities.Cluster(ctx, cloud.Generic, who, cloud.Cluster{Address: audience, Audiences: []string{audience}})
		return access.Token, err
	})
	return func(ctx context.Context, address string) (creds.Hidden, error) {
		if _, logsIn := logins[address]; !logsIn && r.opts.Decryption.VaultToken != nil {
			return r.opts.Decryption.VaultToken(address)
		}
		return login(ctx, address)
	}, nil
}

// keys reads those of a Kustomization, and those that are for all.
func (r *Reconciler) keys(ctx context.Context, ks *kustomizev1.Kustomization) (decrypt.Keys, error) {
	var own, all decrypt.Keys
	var err error
	if ref := ks.Spec.Decryption.SecretRef; ref != nil {
		if own, err = r.keysIn(ctx, ks, client.ObjectKey{Namespace: ks.Namespace, Name: ref.Name}, decrypt.ParseKeys); err != nil {
			return decrypt.Keys{}, err
		}
	}
	if key := r.opts.Decryption.AgeSecret; key.Name != "" {
		if all, err = r.keysIn(ctx, ks, key, decrypt.ParseAgeKeys); err != nil {
			return decrypt.Keys{}, err
		}
	}
	return own.With(all), nil
}

func (r *Reconciler) keysIn(ctx context.Context, ks *kustomizev1.Kustomization, key client.ObjectKey, parse func(map[string][]byte) (decrypt.Keys, error)) (decrypt.Keys, error) {
	var secret corev1.Secret
	if err := r.configs(ks).Get(ctx, key, &secret); err != nil {
		return decrypt.Keys{}, fmt.Errorf("reading the decryption keys in Secret '%s': %w", key, err)
	}
	keys, err := parse(secret.Data)
	if err != nil {
		return decrypt.Keys{}, fmt.Errorf("the decryption keys in Secret '%s': %w", key, err)
	}
	return keys, nil
}
