package manifest

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Kinds is a set of kinds, whatever the version of their API.
type Kinds map[schema.GroupKind]bool

// Has reports whether gk is one of the kinds.
func (k Kinds) Has(gk schema.GroupKind) bool { return k[gk] }

var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// ParseKinds reads a list such as "rbac.authorization.k8s.io/Role,example.com/Widget".
// A kind of the core API has an empty group: "/ConfigMap". No text is no kinds.
func ParseKinds(list string) (Kinds, error) {
	kinds := make(Kinds)
	if strings.TrimSpace(list) == "" {
		return kinds, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		group, kind, ok := strings.Cut(item, "/")
		switch {
		case item == "":
			return nil, fmt.Errorf("%q has an empty item: write group/Kind, separated by commas", list)
		case !ok:
			return nil, fmt.Errorf("%q has no group: write group/Kind, such as rbac.authorization.k8s.io/Role, or /%s for the core API", item, item)
		case !kindName.MatchString(kind):
			return nil, fmt.Errorf("%q in %q is no kind, such as Role: write group/Kind, without a version", kind, item)
		case group != "" && len(validation.IsDNS1123Subdomain(group)) > 0:
			return nil, fmt.Errorf("%q in %q is no API group, such as rbac.authorization.k8s.io", group, item)
		}
		kinds[schema.GroupKind{Group: group, Kind: kind}] = true
	}
	return kinds, nil
}
