package program

import (
	"fmt"
	_ "unsafe" // for linkname

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-base/version"
)

// The release build of Kubernetes sets these by linker flags. Without them every
// component says it is v0.0.0, which clients such as Helm refuse to read. There is
// no other way in: SetDynamicVersion takes only what gitVersion says already.
var (
	//go:linkname gitVersion k8s.io/component-base/version.gitVersion
	gitVersion string
	//go:linkname gitMajor k8s.io/component-base/version.gitMajor
	gitMajor string
	//go:linkname gitMinor k8s.io/component-base/version.gitMinor
	gitMinor string
	//go:linkname gitCommit k8s.io/component-base/version.gitCommit
	gitCommit string
)

// setVersion makes the components say the version that they are of.
func setVersion(v string) error {
	parsed, err := utilversion.ParseSemantic(v)
	if err != nil {
		return fmt.Errorf("reading the version of Kubernetes %q: %w", v, err)
	}
	gitVersion, gitCommit = v, ""
	gitMajor, gitMinor = fmt.Sprint(parsed.Major()), fmt.Sprint(parsed.Minor())
	return version.SetDynamicVersion(v)
}
