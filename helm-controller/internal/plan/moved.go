package plan

import "fmt"

// Place is where a release is, and of which chart.
type Place struct {
	Storage   string // the namespace of its storage
	Namespace string
	Name      string
	Chart     string // the name of the chart
}

// Moved returns why a release must be taken away before the one that is asked for can be
// made; empty if it need not be. Was is the place of the newest release of the history,
// and its Storage is empty if nothing was ever installed. A release may become one of
// another chart in place, if that is asked for.
func Moved(was, want Place, inPlace bool) string {
	switch {
	case was.Storage == "" || was.Name == "":
		return ""
	case was.Storage != want.Storage:
		return fmt.Sprintf("the storage is to be in namespace %s instead of %s", want.Storage, was.Storage)
	case was.Namespace != want.Namespace:
		return fmt.Sprintf("the release is to be in namespace %s instead of %s", want.Namespace, was.Namespace)
	case was.Name != want.Name:
		return fmt.Sprintf("the name of the release is to be %s instead of %s", want.Name, was.Name)
	case was.Chart != want.Chart && !inPlace:
		return fmt.Sprintf("the chart is to be %s instead of %s", want.Chart, was.Chart)
	default:
		return ""
	}
}
