package apply_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/pkg/apply"
)

// entry is one entry of managedFields.
func entry(manager string, op metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: op, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestClaimed(t *testing.T) {
	t.Parallel()
	const update, serverSide = metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply
	const data = `{"f:data":{"f:key":{}}}`
	m := apply.Managers{Own: "engine", Override: []string{"tool"}}
	status := entry("kubectl", update, data)
	status.Subresource = "status"
	tests := map[string]struct {
		why         string
		entries     []metav1.ManagedFieldsEntry
		annotations map[string]string
		want        string
	}{
		"nothing":                {why: "there is nothing"},
		"our own":                {why: "it is ours already", entries: []metav1.ManagedFieldsEntry{entry("engine", serverSide, data)}},
		"our own by update":      {why: "it dates from before we applied", entries: []metav1.ManagedFieldsEntry{entry("engine", update, data)}, want: ".data.key"},
		"before the first apply": {why: "nobody has it", entries: []metav1.ManagedFieldsEntry{entry("before-first-apply", update, data)}, want: ".data.key"},
		"applied by that name":   {why: "the API server never does that", entries: []metav1.ManagedFieldsEntry{entry("before-first-apply", serverSide, data)}},
		"kubectl":                {why: "whatever verb", entries: []metav1.ManagedFieldsEntry{entry("kubectl-whatever", update, data), entry("kubectl", serverSide, `{"f:data":{"f:more":{}}}`)}, want: ".data.key\n.data.more"},
		"kubectl's status":       {why: "it is no field of ours", entries: []metav1.ManagedFieldsEntry{status}},
		"overridden":             {why: "the flag says so", entries: []metav1.ManagedFieldsEntry{entry("tool", update, data)}, want: ".data.key"},
		"starts with overridden": {why: "names are exact", entries: []metav1.ManagedFieldsEntry{entry("tool-2", update, data)}},
		"what passes through":    {why: "an earlier takeover was cut off", entries: []metav1.ManagedFieldsEntry{entry("engine-takeover", serverSide, data)}, want: ".data.key"},
		"merged": {
			why: "the object says so", entries: []metav1.ManagedFieldsEntry{entry("kubectl", update, data)},
			annotations: map[string]string{keySSA: "Merge", "fluxcd.io/sync-checksum": "x"},
		},
		"requests": {
			why:     "users ask by them",
			entries: []metav1.ManagedFieldsEntry{entry("kubectl-annotate", update, `{"f:metadata":{"f:annotations":{".":{},"f:`+keyPrune+`":{},"f:reconcile.fluxcd.io/requestedAt":{},"f:helm.toolkit.fluxcd.io/driftDetection":{}},"f:labels":{"f:`+keyReconcile+`":{}}}}`)},
		},
		"requests and more": {
			why:     "only they stay",
			entries: []metav1.ManagedFieldsEntry{entry("kubectl-annotate", update, `{"f:metadata":{"f:annotations":{".":{},"f:`+keyPrune+`":{},"f:note":{}}}}`)},
			want:    ".metadata.annotations.note",
		},
		"books of another tool": {
			why: "they are out of date from now on", annotations: map[string]string{"fluxcd.io/sync-checksum": "x", "note": "x"},
			want: ".metadata.annotations.fluxcd.io/sync-checksum",
		},
		"books in the source": {
			why: "whoever put them there has a reason", annotations: map[string]string{"fluxcd.io/sync-checksum": "x"},
			entries: []metav1.ManagedFieldsEntry{entry("engine", serverSide, `{"f:metadata":{"f:annotations":{"f:fluxcd.io/sync-checksum":{}}}}`)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := configMap("ns", "a", "value")
			obj.SetManagedFields(tc.entries)
			obj.SetAnnotations(tc.annotations)
			got := ""
			if set := m.Claimed(obj, nil); set != nil {
				got = set.String()
			}
			if got != tc.want {
				t.Errorf("Claimed() is %q; want %q (%s)", got, tc.want, tc.why)
			}
		})
	}
}
