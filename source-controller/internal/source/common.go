package source

import (
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/followed"
)

// Common is what the kinds of one process share.
type Common struct {
	Files      *store.Store
	BaseURL    string            // beginning of the URLs of artifacts
	Identities *cloud.Identities // credentials of short life
	Objects    *followed.Objects // Secrets and ServiceAccounts
}

// Shelf keeps the artifacts of a kind.
func (c Common) Shelf(kind string) *Shelf { return NewShelf(kind, c.Files, c.BaseURL) }

// Secrets are what the objects of a kind read.
func (c Common) Secrets(kind string) *Secrets { return NewSecrets(kind, c.Objects) }
