package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/git/signature"
	"weir.dev/pkg/loop"
)

// verificationMode returns what has to be signed; empty if nothing has.
func verificationMode(repo *sourcev1.GitRepository) sourcev1.GitVerificationMode {
	v := repo.Spec.Verification
	switch {
	case v == nil:
		return ""
	case v.Mode == "", v.Mode == sourcev1.GitVerificationLegacyHEAD:
		return sourcev1.GitVerificationHEAD
	default:
		return v.Mode
	}
}

// wants reports whether a mode asks for a signed tag, and for a signed commit.
func wants(mode sourcev1.GitVerificationMode) (tag, commit bool) {
	tag = mode == sourcev1.GitVerificationTag || mode == sourcev1.GitVerificationTagAndHEAD
	commit = mode == sourcev1.GitVerificationHEAD || mode == sourcev1.GitVerificationTagAndHEAD
	return tag, commit
}

// verified reports whether the status says that what is published was found signed as
// the spec asks. That of the Secret with the keys is no part of it.
func verified(repo *sourcev1.GitRepository) bool {
	mode := verificationMode(repo)
	if mode == "" {
		return true
	}
	if repo.Status.SourceVerificationMode == nil || !conditions.IsTrue(repo, sourcev1.ConditionSourceVerified) {
		return false
	}
	tag, commit := wants(mode)
	hadTag, hadCommit := wants(*repo.Status.SourceVerificationMode)
	return (hadTag || !tag) && (hadCommit || !commit)
}

// checkVerification forgets a verification that nobody asks for any more, and stalls an
// object that asks for the signature of a tag and follows none.
func (r *Reconciler) checkVerification(_ context.Context, s *scope) error {
	mode := verificationMode(s.repo)
	if mode == "" {
		conditions.Delete(s.repo, sourcev1.ConditionSourceVerified)
		s.repo.Status.SourceVerificationMode = nil
		return nil
	}
	if tag, _ := wants(mode); tag && !followsTag(s.repo.Spec.Reference) {
		return loop.Stall(sourcev1.ReasonInvalidVerificationMode,
			errors.New("cannot verify tag object's signature if a tag reference is not specified"))
	}
	return nil
}

// followsTag reports whether a reference is one to a tag. The fields have the order in
// which package git takes them.
func followsTag(ref *sourcev1.GitRepositoryRef) bool {
	switch {
	case ref == nil, ref.Commit != "":
		return false
	case ref.Name != "":
		return strings.HasPrefix(ref.Name, "refs/tags/")
	default:
		return ref.Tag != "" || ref.SemVer != ""
	}
}

// verifySignature makes sure that what was fetched is signed as the spec asks.
func (r *Reconciler) verifySignature(ctx context.Context, s *scope) error {
	mode := verificationMode(s.repo)
	if mode == "" {
		return nil
	}
	keys, err := r.publicKeys(ctx, s.repo)
	if err != nil {
		return loop.Fail(sourcev1.ReasonVerificationError, fmt.Errorf("public keys secret error: %w", err))
	}
	found := "verified signature of"
	tag, commit := wants(mode)
	if tag {
		line, err := r.verifyTag(ctx, s, keys)
		if err != nil {
			return err
		}
		found += line
	}
	if commit {
		line, err := verifyCommit(s.snapshot, keys)
		if err != nil {
			return err
		}
		found += line
	}
	conditions.MarkTrue(s.repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonSucceeded, "%s", found)
	s.verified = mode
	return nil
}

// publicKeys reads the keys that are trusted.
func (r *Reconciler) publicKeys(ctx context.Context, repo *sourcev1.GitRepository) (signature.Keys, error) {
	key := client.ObjectKey{Namespace: repo.Namespace, Name: repo.Spec.Verification.SecretRef.Name}
	var secret corev1.Secret
	if err := r.secrets.For(repo).Get(ctx, key, &secret); err != nil {
		return signature.Keys{}, err
	}
	keys, err := signature.ReadKeys(secret.Data)
	if err != nil {
		return signature.Keys{}, fmt.Errorf("secret '%s': %w", key, err)
	}
	return keys, nil
}

// verifyCommit returns the line that says who has signed the commit.
func verifyCommit(snapshot *git.Snapshot, keys signature.Keys) (string, error) {
	signed, err := snapshot.Signed()
	if errors.Is(err, git.ErrDamaged) {
		return "", failed(err)
	}
	var signer string
	if err == nil {
		signer, err = keys.Verify(signed, time.Now())
	}
	if err != nil {
		return "", loop.Fail(sourcev1.ReasonInvalidCommitSignature,
			fmt.Errorf("signature verification of commit '%s' failed: %w", snapshot.Commit.Hash, err))
	}
	return fmt.Sprintf("\n\t- commit '%s' with key '%s'", snapshot.Commit.Hash, signer), nil
}

// verifyTag returns the line that says who has signed the tag.
func (r *Reconciler) verifyTag(ctx context.Context, s *scope, keys signature.Keys) (string, error) {
	if !s.target.Annotated() {
		name := strings.TrimPrefix(s.target.Label, "refs/tags/") + "@" + s.target.Commit.String()
		return "", loop.Fail(sourcev1.ReasonInvalidGitObject, fmt.Errorf("cannot verify signature of tag '%s' since it is not signed", name))
	}
	tag, err := r.tag(ctx, s)
	if errors.Is(err, signature.ErrMalformed) {
		return "", loop.Fail(sourcev1.ReasonInvalidTagSignature, fmt.Errorf("signature verification of tag '%s' failed: %w", s.target.Label, err))
	}
	if err != nil {
		return "", failed(err)
	}
	name := tag.Name + "@" + tag.Hash.String()
	signer, err := keys.Verify(tag.Signed, time.Now())
	if errors.Is(err, signature.ErrUnsigned) {
		return "", loop.Fail(sourcev1.ReasonInvalidGitObject, fmt.Errorf("cannot verify signature of tag '%s' since it is not signed", name))
	}
	if err == nil && chosenByName(s.repo.Spec.Reference) && tag.Name != s.target.Label {
		// Or an old version could be passed off as the newest.
		err = fmt.Errorf("what was signed is a tag of another name than '%s', by which it was chosen", s.target.Label)
	}
	if err != nil {
		return "", loop.Fail(sourcev1.ReasonInvalidTagSignature, fmt.Errorf("signature verification of tag '%s' failed: %w", name, err))
	}
	return fmt.Sprintf("\n\t- tag '%s' with key '%s'", name, signer), nil
}

// chosenByName reports whether the names of tags decide which of them is published.
func chosenByName(ref *sourcev1.GitRepositoryRef) bool {
	return ref.Name == "" && ref.Tag == "" && ref.SemVer != ""
}

// tag returns the annotated tag of the target. It came with its commit, unless that was
// there already.
func (r *Reconciler) tag(ctx context.Context, s *scope) (*git.Tag, error) {
	if tag, ok := s.objects.HasTag(s.target); ok {
		return tag, nil
	}
	ctx, cancel := r.timeout(ctx, s)
	defer cancel()
	conn, err := r.remotes.Dial(ctx, s.remote)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it was only read
	return s.objects.FetchTag(ctx, conn, s.target)
}
