package imageupdateautomation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/git/signature"
)

// Keys of Secrets with a key to sign with.
const (
	openPGPKey        = "git.asc"
	openPGPPassphrase = "passphrase"
	sshKey            = "identity"
	sshPassword       = "password"
)

// signerOf returns what signs commits; nil if nothing does. A key is read again when its
// Secret has changed: to unlock it takes long.
func (r *Reconciler) signerOf(ctx context.Context, s *scope) (git.Signer, error) {
	key := s.auto.Spec.GitSpec.Commit.SigningKey
	if key == nil {
		return nil, nil
	}
	name := client.ObjectKey{Namespace: s.auto.Namespace, Name: key.SecretRef.Name}
	var secret corev1.Secret
	if err := r.secrets(s.auto).Get(ctx, name, &secret); err != nil {
		return nil, fmt.Errorf("failed to get signing key secret '%s': %w", name, err)
	}
	version := string(secret.UID) + "/" + secret.ResourceVersion + "/" + string(key.Type)
	if s.memory.signer != nil && s.memory.signerVersion == version {
		return s.memory.signer, nil
	}
	signer, err := newSigner(key.Type, secret.Data)
	if err != nil {
		return nil, fmt.Errorf("signing key secret '%s': %w", name, err)
	}
	s.memory.signer, s.memory.signerVersion = signer, version
	return signer, nil
}

// newSigner reads a key of one of the two types.
func newSigner(kind imagev1.SigningKeyType, data map[string][]byte) (git.Signer, error) {
	name, secret := openPGPKey, openPGPPassphrase
	if kind == imagev1.SigningKeySSH {
		name, secret = sshKey, sshPassword
	}
	key, ok := data[name]
	if !ok {
		return nil, fmt.Errorf("it has no key '%s'", name)
	}
	if kind == imagev1.SigningKeySSH {
		return signature.NewSSHSigner(key, data[secret])
	}
	return signature.NewOpenPGPSigner(key, data[secret])
}
