package source

import (
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/followed"
)

// Services are what the kinds of one process share.
type Services struct {
	Files      *store.Store
	BaseURL    string            // beginning of the URLs of artifacts
	Identities *cloud.Identities // credentials of short life
	Objects    *followed.Objects // Secrets and ServiceAccounts
}

// Shelf keeps the artifacts of a kind.
func (s Services) Shelf(kind string) *Shelf { return NewShelf(kind, s.Files, s.BaseURL) }

// Secrets are what the objects of a kind read.
func (s Services) Secrets(kind string) *Secrets { return NewSecrets(kind, s.Objects) }
