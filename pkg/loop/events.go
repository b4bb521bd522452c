package loop

import (
	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/fluxcd/pkg/runtime/events"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Keys of the metadata of events.
const (
	MetaRevision       = "revision"       // of the source
	MetaOriginRevision = "originRevision" // of what the source was made of
	MetaDigest         = "digest"         // of the artifact
	MetaCommitStatus   = "commit_status"  // MetaUpdate asks for a status on the commit
	MetaUpdate         = "update"
)

// Event is something that happened to an object.
type Event struct {
	// Warning says that a user should look.
	Warning bool
	// Trace says that nobody needs to be notified: it is a Kubernetes event only.
	Trace bool
	// Reason is CamelCase.
	Reason string
	// Message is for the user, in the past tense, with the value.
	Message string
	// Metadata is kept as annotations of the event, under the API group of the
	// object.
	Metadata map[string]string
}

// Recorder publishes events.
type Recorder interface {
	Record(obj runtime.Object, e Event)
}

// publisher hands events to the recorder of the API, which writes a Kubernetes
// event and posts it to the notification address if there is one.
type publisher struct {
	recorder events.Recorder
	group    string
}

// NewRecorder returns a Recorder that publishes through r the events of objects
// of the API group.
func NewRecorder(r events.Recorder, group string) Recorder {
	return publisher{recorder: r, group: group}
}

// Record implements Recorder.
func (p publisher) Record(obj runtime.Object, e Event) {
	kind := corev1.EventTypeNormal
	switch {
	case e.Warning:
		kind = corev1.EventTypeWarning
	case e.Trace:
		kind = eventv1.EventTypeTrace
	}
	metadata := make(map[string]string, len(e.Metadata))
	for k, v := range e.Metadata {
		metadata[p.group+"/"+k] = v
	}
	p.recorder.AnnotatedEventf(obj, nil, metadata, kind, e.Reason, e.Reason, "%s", e.Message)
}

// Repeats reports whether an object says about Ready what it said before: a failure
// that users have been told already.
func Repeats(before, after conditions.Getter) bool {
	return conditions.GetReason(before, meta.ReadyCondition) == conditions.GetReason(after, meta.ReadyCondition) &&
		conditions.GetMessage(before, meta.ReadyCondition) == conditions.GetMessage(after, meta.ReadyCondition)
}
