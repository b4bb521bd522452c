package loop

import (
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	sourcev1 "weir.dev/api/source/v1"
)

// kubeEvent is what the recorder of the API is asked to publish.
type kubeEvent struct {
	Annotations                   map[string]string
	Type, Reason, Action, Message string
}

// fakeRecorder keeps what it is asked to publish.
type fakeRecorder struct{ events []kubeEvent }

func (r *fakeRecorder) Eventf(obj, related runtime.Object, eventType, reason, action, format string, args ...any) {
	r.AnnotatedEventf(obj, related, nil, eventType, reason, action, format, args...)
}

func (r *fakeRecorder) AnnotatedEventf(_, _ runtime.Object, annotations map[string]string, eventType, reason, action, format string, args ...any) {
	r.events = append(r.events, kubeEvent{Annotations: annotations, Type: eventType, Reason: reason, Action: action, Message: fmt.Sprintf(format, args...)})
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		in   Event
		want kubeEvent
	}{
		"puts metadata under the group": {
			why:  "the notification controller takes the prefix off",
			in:   Event{Reason: "NewArtifact", Message: "stored", Metadata: map[string]string{MetaRevision: "main@sha1:1", MetaCommitStatus: MetaUpdate}},
			want: kubeEvent{Type: "Normal", Reason: "NewArtifact", Action: "NewArtifact", Message: "stored", Annotations: map[string]string{"example.com/revision": "main@sha1:1", "example.com/commit_status": "update"}},
		},
		"warns": {
			why:  "the severity follows from the type",
			in:   Event{Warning: true, Reason: "Failed", Message: "no"},
			want: kubeEvent{Type: "Warning", Reason: "Failed", Action: "Failed", Message: "no", Annotations: map[string]string{}},
		},
		"traces": {
			why:  "the recorder writes it as Normal, and notifies nobody",
			in:   Event{Trace: true, Reason: "ArtifactUpToDate", Message: "up to date"},
			want: kubeEvent{Type: "Trace", Reason: "ArtifactUpToDate", Action: "ArtifactUpToDate", Message: "up to date", Annotations: map[string]string{}},
		},
		"takes a message as it is": {
			why:  "a URL may hold a percent sign",
			in:   Event{Reason: "Failed", Message: "GET /a%20b"},
			want: kubeEvent{Type: "Normal", Reason: "Failed", Action: "Failed", Message: "GET /a%20b", Annotations: map[string]string{}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &fakeRecorder{}
			NewRecorder(r, "example.com").Record(repository(), tc.in)
			if diff := cmp.Diff([]kubeEvent{tc.want}, r.events); diff != "" {
				t.Errorf("published (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	saying := func(reason, message string) *sourcev1.GitRepository {
		repo := repository()
		conditions.MarkFalse(repo, meta.ReadyCondition, reason, "%s", message)
		return repo
	}
	tests := map[string]struct {
		after *sourcev1.GitRepository
		want  bool
	}{
		"the same":        {after: saying("Failed", "no answer"), want: true},
		"another message": {after: saying("Failed", "refused")},
		"another reason":  {after: saying("AuthenticationFailed", "no answer")},
		"nothing":         {after: repository()},
	}
	for name, tc := range tests {
		if got := Repeats(saying("Failed", "no answer"), tc.after); got != tc.want {
			t.Errorf("%s: Repeats() is %t; want %t", name, got, tc.want)
		}
	}
}
