package bootstrap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// SecretData returns the data of the Secret by which a cluster gets in to its repository;
// nil if there is none.
func SecretData(ctx context.Context, c client.Reader, key client.ObjectKey) (map[string][]byte, error) {
	var secret corev1.Secret
	_, err := get(ctx, c, key, &secret)
	return secret.Data, err
}

func (b *Bootstrap) secretKey() client.ObjectKey {
	return client.ObjectKey{Namespace: b.Options.Install.Namespace, Name: b.Options.Secret}
}

// access sees to it that the cluster gets in to the repository: to its Secret, and to it
// that this lets in. A host has taken a new key or token before the cluster gets it, and
// the old one goes after that.
func (b *Bootstrap) access(ctx context.Context) error {
	have, err := SecretData(ctx, b.Client, b.secretKey())
	if err != nil {
		return err
	}
	if b.Host != nil && b.Host.DeployToken {
		return b.Host.token(ctx, b.Options, have, b.Login, func(l Login) error { return b.keep(ctx, l, have) })
	}
	if !b.Login.SSH {
		return b.keep(ctx, b.Login, have)
	}
	want, err := b.want(ctx, b.Login, have)
	if err != nil {
		return err
	}
	if want == nil {
		want = have
	}
	public := strings.TrimSpace(string(want[keyPublic]))
	write := func() error { return b.write(ctx, want, have) }
	if b.Host != nil {
		return b.Host.admit(ctx, b.Options, public, b.Tell, write)
	}
	if err := write(); err != nil {
		return err
	}
	return b.mustAdmit(ctx, want, public)
}

// keep sees to it that the Secret has what a login takes.
func (b *Bootstrap) keep(ctx context.Context, l Login, have map[string][]byte) error {
	want, err := b.want(ctx, l, have)
	if err != nil {
		return err
	}
	return b.write(ctx, want, have)
}

// want returns what the Secret is to have; nil if what it has is good.
func (b *Bootstrap) want(ctx context.Context, l Login, have map[string][]byte) (map[string][]byte, error) {
	want, err := l.Secret(have, func(known []byte) ([]byte, error) { return b.hostKeys().Of(ctx, b.Options.URL, known) })
	if err != nil {
		return nil, fmt.Errorf("secret '%s': %w", b.secretKey(), err)
	}
	return want, nil
}

// write writes the Secret, unless it has what is wanted.
func (b *Bootstrap) write(ctx context.Context, want, have map[string][]byte) error {
	key := b.secretKey()
	if want == nil || unlessThere(want, have) == nil {
		b.Tell.Done("source secret %s is up to date", key)
		return nil
	}
	data := make(map[string]any, len(want))
	for name, value := range want {
		data[name] = base64.StdEncoding.EncodeToString(value)
	}
	_, err := b.put(ctx, []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": string(corev1.SecretTypeOpaque),
		"metadata": map[string]any{"name": key.Name, "namespace": key.Namespace}, "data": data,
	}}})
	if err != nil {
		return err
	}
	b.Tell.Done("source secret %s written", key)
	return nil
}

// mustAdmit refuses to go on as long as people have not given the cluster access, who can be
// asked by nobody but people.
func (b *Bootstrap) mustAdmit(ctx context.Context, secret map[string][]byte, public string) error {
	c, err := b.gitOf(secret)
	if err != nil {
		return err
	}
	admitted, err := Admits(ctx, b.Options.URL, c)
	switch {
	case errors.Is(err, git.ErrUntrusted):
		return b.hostKeys().Untrusted(err, b.Options.URL)
	case err != nil: // the host may be known by that name in the cluster only
		b.Tell.Warn("whether the cluster gets in cannot be seen from here: %v", err)
	case !admitted:
		return refuse(KeyUnknown, "the repository does not let the cluster in yet, whose key is %s", public).
			next("give this key access to the repository, to read it, and run the same command again")
	}
	return nil
}

// gitOf returns the credentials that the data of the Secret are, by a key.
func (b *Bootstrap) gitOf(secret map[string][]byte) (creds.Git, error) {
	c, err := creds.GitSSH(secret, b.Options.Secret)
	c.Proxy = b.Git.Proxy
	return c, err
}

// Admits reports whether a repository lets in who has some credentials.
func Admits(ctx context.Context, rawURL string, c creds.Git) (bool, error) {
	remote, err := git.NewRemote(rawURL, c)
	if err != nil {
		return false, err
	}
	conn, err := git.NewClient(git.Limits{}).Dial(ctx, remote)
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, git.ErrEmpty):
		return true, nil
	case errors.Is(err, git.ErrUnauthorized), errors.Is(err, git.ErrNotFound):
		return false, nil
	default:
		return false, err
	}
}
