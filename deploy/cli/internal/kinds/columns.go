package kinds

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// Texts of what no controller reports on, or has not yet.
const (
	waitingMessage = "waiting to be reconciled"
	ociMessage     = "Helm repository is Ready"
)

func suspended() Column { return Column{Name: "Suspended", Value: Suspended} }

func ready() Column {
	return Column{Name: "Ready", Value: func(o Object) string { status, _ := Ready(o); return status }}
}

func message() Column {
	return Column{Name: "Message", Value: func(o Object) string { return Shorten(readyMessage(o)) }, Whole: readyMessage}
}

func age() Column {
	return Column{Name: "Age", Wide: true, At: func(o Object, now time.Time) string { return Ago(o.Metadata.CreationTimestamp.Time, now) }}
}

func columns(all ...Column) []Column { return all }

// standard are the columns of most kinds, with more behind them.
func standard(more ...Column) []Column {
	return append(append([]Column{revision("Revision", Revision), suspended(), ready(), message()}, more...), age())
}

func wide(name string, value func(Object) string) Column {
	return Column{Name: name, Wide: true, Value: value}
}

// revision is a column of a revision, which is whole in wide tables only.
func revision(name string, value func(Object) string) Column {
	return Column{Name: name, Value: func(o Object) string { return Shorten(value(o)) }, Whole: value}
}

// checksum is one that is written out: of a commit, or of content.
var checksum = regexp.MustCompile(`\b(sha1|sha256|sha384|sha512):([0-9a-f]{8})[0-9a-f]{24,}`)

// Shorten leaves eight digits of each checksum in text.
func Shorten(text string) string {
	if !strings.Contains(text, ":") {
		return text
	}
	return checksum.ReplaceAllString(text, "$1:$2")
}

// Ready returns the status of the object as tables show it, and what it says about it.
func Ready(o Object) (status, message string) {
	if c, ok := o.Condition(meta.ReadyCondition); ok {
		return string(c.Status), c.Message
	}
	if IsStatic(o) {
		return string(metav1.ConditionTrue), ociMessage
	}
	return string(metav1.ConditionFalse), waitingMessage
}

func readyMessage(o Object) string {
	_, m := Ready(o)
	return m
}

// IsStatic reports whether the object is data that no controller works on: by its kind, or
// as a HelmRepository of an OCI registry.
func IsStatic(o Object) bool {
	if o.Kind == sourcev1.HelmRepositoryKind {
		return o.Spec.Type == string(sourcev1.HelmRepositoryTypeOCI)
	}
	k, _ := Of(o.GroupKind())
	return k.Static && o.Kind != sourcev1.ExternalArtifactKind
}

// Suspended returns True or False.
func Suspended(o Object) string {
	if o.Spec.Suspend {
		return "True"
	}
	return "False"
}

// Revision returns the revision that the object is at: that of the artifact of a source,
// what a Kustomization applied last, the version of the chart of a HelmRelease.
func Revision(o Object) string {
	switch {
	case o.Kind == kustomizev1.KustomizationKind:
		return o.Status.LastAppliedRevision
	case o.Kind == helmv2.HelmReleaseKind && len(o.Status.History) > 0:
		return o.Status.History[0].ChartVersion
	case o.Kind == helmv2.HelmReleaseKind:
		return o.Status.LastAttemptedRevision
	case o.Status.Artifact != nil:
		return o.Status.Artifact.Revision
	case o.Status.LatestRef != nil:
		return latestTag(o)
	}
	return ""
}

// SourceName names what the object reads from.
func SourceName(o Object) string {
	ref, ok := o.Source()
	if !ok {
		return ""
	}
	return ref.String()
}

// Ago returns how long before now t was, roughly.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return duration.HumanDuration(now.Sub(t))
}

func url(o Object) string          { return o.Spec.URL }
func endpoint(o Object) string     { return o.Spec.Endpoint }
func bucket(o Object) string       { return o.Spec.BucketName }
func path(o Object) string         { return o.Spec.Path }
func image(o Object) string        { return o.Spec.Image }
func providerType(o Object) string { return o.Spec.Type }
func webhook(o Object) string      { return o.Status.WebhookPath }
func lastPush(o Object) string     { return o.Status.LastPushCommit }

func chart(o Object) string {
	version := o.Spec.Chart.Version
	if version == "" {
		version = o.Spec.Version
	}
	if version == "" || o.Spec.Chart.Name == "" {
		return o.Spec.Chart.Name
	}
	return o.Spec.Chart.Name + "@" + version
}

func lastScan(o Object) string {
	if o.Status.LastScanResult == nil {
		return ""
	}
	return stamp(&o.Status.LastScanResult.ScanTime)
}

func tags(o Object) string {
	if o.Status.LastScanResult == nil {
		return ""
	}
	return strconv.Itoa(o.Status.LastScanResult.TagCount)
}

func latestName(o Object) string {
	if o.Status.LatestRef == nil {
		return ""
	}
	return o.Status.LatestRef.Name
}

func latestTag(o Object) string {
	if o.Status.LatestRef == nil {
		return ""
	}
	return o.Status.LatestRef.Tag
}

func latestDigest(o Object) string {
	if o.Status.LatestRef == nil {
		return ""
	}
	return o.Status.LatestRef.Digest
}

func lastRun(o Object) string { return stamp(o.Status.LastAutomationRunTime) }

func stamp(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Common are the columns that a table of several kinds has.
func Common() []Column {
	return columns(revision("Revision", Revision), suspended(), ready(), message(), age())
}
