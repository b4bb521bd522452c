package kustomization

import (
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/inventory"
)

// inventoryOf returns what a Kustomization has applied, by its status.
func inventoryOf(ks *kustomizev1.Kustomization) (inventory.Set, error) {
	if ks.Status.Inventory == nil {
		return inventory.Set{}, nil
	}
	return inventory.Decode(ks.Status.Inventory.Entries)
}

// setInventory records what a Kustomization has applied.
func setInventory(ks *kustomizev1.Kustomization, set inventory.Set) {
	ks.Status.Inventory = &kustomizev1.ResourceInventory{Entries: inventory.Encode[kustomizev1.ResourceRef](set)}
}
