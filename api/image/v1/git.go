package v1

import (
	"github.com/fluxcd/pkg/apis/meta"

	sourcev1 "weir.dev/api/source/v1"
)

// GitSpec says what to start from, how to commit and where to push.
type GitSpec struct {
	// Checkout says what to start from. When it is absent, that is the ref of the
	// GitRepository.
	Checkout *GitCheckoutSpec `json:"checkout,omitempty"`

	// Commit says how to commit.
	Commit CommitSpec `json:"commit"`

	// Push says where to push. When it is absent, that is the branch to start from.
	Push *PushSpec `json:"push,omitempty"`
}

// GitCheckoutSpec says what to start from.
type GitCheckoutSpec struct {
	// Reference is the branch, tag or commit to start from.
	Reference sourcev1.GitRepositoryRef `json:"ref"`
}

// CommitSpec says how to commit.
type CommitSpec struct {
	// Author of the commits, who is their committer too.
	Author CommitUser `json:"author"`

	// SigningKey names the key to sign commits with. When it is absent, they are not
	// signed.
	SigningKey *SigningKey `json:"signingKey,omitempty"`

	// MessageTemplate is a template of the commit message, in the syntax of Go, with
	// the functions of sprig that depend on nothing but their arguments. It is given
	// .AutomationObject, .Changed and .Values. Defaults to "Update from image update
	// automation".
	MessageTemplate string `json:"messageTemplate,omitempty"`

	// MessageTemplateValues are the .Values of the template.
	MessageTemplateValues map[string]string `json:"messageTemplateValues,omitempty"`
}

// CommitUser is who has made a commit.
type CommitUser struct {
	// Name of the user.
	Name string `json:"name,omitempty"`

	// Email is the mail address of the user.
	Email string `json:"email"`
}

// SigningKeyType is the kind of a key to sign commits with.
//
// +kubebuilder:validation:Enum=gpg;ssh
type SigningKeyType string

const (
	// SigningKeyGPG is an OpenPGP key.
	SigningKeyGPG SigningKeyType = "gpg"

	// SigningKeySSH is an SSH key.
	SigningKeySSH SigningKeyType = "ssh"
)

// SigningKey names a key to sign commits with.
type SigningKey struct {
	// SecretRef names a Secret in the same namespace. An OpenPGP key is "git.asc", one
	// armored key, with its "passphrase" if it has one; an SSH key is "identity", with
	// its "password" if it has one.
	SecretRef meta.LocalObjectReference `json:"secretRef"`

	// Type of the key: "gpg" or "ssh". Defaults to "gpg".
	// +kubebuilder:default=gpg
	Type SigningKeyType `json:"type,omitempty"`
}

// PushSpec says where to push.
type PushSpec struct {
	// Branch to push to. It is created from what to start from if it does not exist.
	Branch string `json:"branch,omitempty"`

	// Refspec to push besides, such as "refs/heads/main:refs/heads/auto".
	Refspec string `json:"refspec,omitempty"`

	// Options are sent to the server with what is pushed, such as
	// "merge_request.create".
	Options map[string]string `json:"options,omitempty"`
}
