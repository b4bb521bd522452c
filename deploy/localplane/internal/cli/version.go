package cli

import (
	"flag"
	"fmt"
	"io"

	"weir.dev/deploy/localplane/internal/component"
)

func version(args []string, stdout io.Writer) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, component.KubernetesVersion())
	return err
}
