// Package ociaccess reads how a container registry is reached, and as whom, from the
// Secrets that an object names beside it. Whether a cloud is asked for credentials, and
// before or after them, is the caller's.
package ociaccess

import (
	"context"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/registry"
)

// Reader reads Secrets and ServiceAccounts of a namespace.
type Reader struct {
	Client    client.Reader
	Namespace string
}

// SecretError is returned when a Secret cannot be read, for instance because it does not
// exist.
type SecretError struct {
	Name string
	key  client.ObjectKey
	err  error
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("failed to get secret '%s': %v", e.key, e.err)
}
func (e *SecretError) Unwrap() error { return e.err }

// Keychain returns the credentials of Secrets: of one, if it is named, and then of those
// that a ServiceAccount pulls with, if that is named.
func (r Reader) Keychain(ctx context.Context, secret *meta.LocalObjectReference, serviceAccount string) (registry.Keychain, error) {
	var names []string
	if secret != nil {
		names = append(names, secret.Name)
	}
	if serviceAccount != "" {
		key := client.ObjectKey{Namespace: r.Namespace, Name: serviceAccount}
		var account corev1.ServiceAccount
		if err := r.Client.Get(ctx, key, &account); err != nil {
			return nil, fmt.Errorf("failed to get service account '%s': %w", key, err)
		}
		for _, ref := range account.ImagePullSecrets {
			names = append(names, ref.Name)
		}
	}
	var keychain registry.Keychain
	for _, name := range names {
		config, err := fromSecret(ctx, r, &meta.LocalObjectReference{Name: name}, registry.Parse)
		if err != nil {
			return nil, err
		}
		keychain = append(keychain, config)
	}
	return keychain, nil
}

// Proxy returns the proxy of a Secret or, without one, that of the environment.
func (r Reader) Proxy(ctx context.Context, secret *meta.LocalObjectReference) (creds.Proxy, error) {
	return fromSecret(ctx, r, secret, creds.NewProxy)
}

// TLS returns whom a Secret says to trust, besides the authorities of the system.
func (r Reader) TLS(ctx context.Context, secret *meta.LocalObjectReference) (creds.TLS, error) {
	return fromSecret(ctx, r, secret, creds.NewTLS)
}

// fromSecret parses what a Secret has, if one is named.
func fromSecret[T any](
	ctx context.Context, r Reader, ref *meta.LocalObjectReference, parse func(data map[string][]byte, secret string) (T, error),
) (T, error) {
	var none T
	if ref == nil {
		return none, nil
	}
	key := client.ObjectKey{Namespace: r.Namespace, Name: ref.Name}
	var secret corev1.Secret
	if err := r.Client.Get(ctx, key, &secret); err != nil {
		return none, &SecretError{Name: ref.Name, key: key, err: err}
	}
	return parse(secret.Data, key.String())
}
