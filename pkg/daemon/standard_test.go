package daemon

import (
	"log"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

func TestStandardLogBecomesLinesOfOurs(t *testing.T) {
	t.Parallel()
	var got []string
	l := log.New(standard{funcr.New(func(_, args string) { got = append(got, args) }, funcr.Options{})}, "", 0)
	l.Printf("skipping unknown hook: %q", "later")
	l.Print("\n")
	want := []string{`"level"=0 "msg"="a library says" "text"="skipping unknown hook: \"later\""`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
