package releases

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What Helm's Secrets look like.
const (
	secretType = corev1.SecretType("helm.sh/release.v1")
	keyPrefix  = "sh.helm.release.v1."
	dataKey    = "release"

	ownerLabel    = "owner"
	owner         = "helm"
	nameLabel     = "name"
	statusLabel   = "status"
	versionLabel  = "version"
	createdLabel  = "createdAt"
	modifiedLabel = "modifiedAt"
)

// ErrCorrupt is given to a Secret that does not hold the release that it should.
var ErrCorrupt = errors.New("stored release cannot be read")

// keyOf returns the name of the Secret of a version.
func keyOf(name string, version int) string {
	return keyPrefix + name + ".v" + strconv.Itoa(version)
}

// parseKey returns what version of what release a Secret is named after.
func parseKey(key string) (name string, version int, ok bool) {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return "", 0, false
	}
	i := strings.LastIndex(rest, ".v")
	if i < 1 {
		return "", 0, false
	}
	version, err := strconv.Atoi(rest[i+len(".v"):])
	if err != nil || version < 1 || keyOf(rest[:i], version) != key {
		return "", 0, false
	}
	return rest[:i], version, true
}

// secret is a version of a release as it is stored.
type secret struct {
	meta    metav1.ObjectMeta
	version int
	data    []byte
	// labelsOnly says that no more is known than the name, the labels of Helm, the resource
	// version, and perhaps the UID.
	labelsOnly bool
	// sum is that of the data that was forgotten; nil if none was.
	sum []byte
	// plain says that it holds nothing that the types lack.
	plain bool

	// once read, while it is remembered
	release *Release
	err     error
}

// newSecret takes from a Secret what is needed of it.
func newSecret(s *corev1.Secret, version int) *secret {
	meta := s.ObjectMeta
	meta.ManagedFields = nil // the API server keeps them
	return &secret{meta: meta, version: version, data: s.Data[dataKey]}
}

// labelled returns what is known of a Secret by its version.
func labelled(name string, v Version) *secret {
	return &secret{version: v.Number, labelsOnly: true, meta: metav1.ObjectMeta{
		Name: keyOf(name, v.Number), ResourceVersion: v.ResourceVersion,
		Labels: map[string]string{
			nameLabel: name, ownerLabel: owner, statusLabel: v.Status.String(), versionLabel: strconv.Itoa(v.Number),
		},
	}}
}

// empty forgets all but the labels.
func (s *secret) empty() {
	meta := metav1.ObjectMeta{Namespace: s.meta.Namespace, Name: s.meta.Name, UID: s.meta.UID, ResourceVersion: s.meta.ResourceVersion, Labels: s.meta.Labels}
	*s = secret{meta: meta, version: s.version, labelsOnly: true, sum: sumOf(s.data)}
}

func sumOf(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// weight is how much is remembered of the Secret as it is stored.
func (s *secret) weight() int {
	n := len(s.data)
	for _, of := range []map[string]string{s.meta.Labels, s.meta.Annotations} {
		for key, value := range of {
			n += len(key) + len(value)
		}
	}
	return n
}

// size is about how much memory is taken by what is remembered of the release.
func (s *secret) size() int {
	if s.release == nil {
		return 0
	}
	return s.release.size
}

// read returns the release in the Secret, which must have more than labels, and remembers it.
func (s *secret) read() (*Release, error) {
	s.release, s.err = s.look()
	return s.release, s.err
}

// look is read, but for that it remembers nothing.
func (s *secret) look() (*Release, error) {
	if s.release != nil || s.err != nil {
		return s.release, s.err
	}
	rel, method, size, err := decode(s.data)
	if err == nil && keyOf(rel.Name, rel.Version) != s.meta.Name {
		err = errors.New("it holds another release")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Secret '%s/%s': %w; restore it from a backup, or delete it, and Helm forgets that version", ErrCorrupt, s.meta.Namespace, s.meta.Name, err)
	}
	rel.Labels = custom(s.meta.Labels)
	return &Release{Release: rel, Method: method, ResourceVersion: s.meta.ResourceVersion, stored: s.data, size: size}, nil
}

// outline is a release of which only its Secret's labels are known: enough to count and
// delete it.
func (s *secret) outline() *release.Release {
	name, version, _ := parseKey(s.meta.Name)
	return &release.Release{
		Name: name, Version: version, Labels: custom(s.meta.Labels),
		Info: &release.Info{Status: release.Status(s.meta.Labels[statusLabel])},
	}
}

// labelsOf returns the labels of the Secret of a release: those that it had, those that
// the release has, and Helm's. Stamp is the one that tells the time.
func labelsOf(rel *release.Release, had map[string]string, stamp string, now time.Time) map[string]string {
	labels := custom(had)
	for name, value := range custom(rel.Labels) {
		labels[name] = value
	}
	labels[nameLabel] = rel.Name
	labels[ownerLabel] = owner
	labels[statusLabel] = rel.Info.Status.String()
	labels[versionLabel] = strconv.Itoa(rel.Version)
	labels[stamp] = strconv.FormatInt(now.Unix(), 10)
	return labels
}

// custom returns the labels that are not Helm's own.
func custom(labels map[string]string) map[string]string {
	own := make(map[string]bool)
	for _, name := range driver.GetSystemLabels() {
		own[name] = true
	}
	out := make(map[string]string)
	for name, value := range labels {
		if !own[name] {
			out[name] = value
		}
	}
	return out
}
