package verb

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/session"
)

// completionTimeout is how long somebody may wait who pressed a key.
const completionTimeout = 3 * time.Second

func newCompletion(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "completion", Short: "Print a script by which a shell completes commands, names included",
		Example: `  . <(weir completion bash)
  weir completion zsh > "${fpath[1]}/_weir"
  weir completion fish > ~/.config/fish/completions/weir.fish`,
	}
	for shell, write := range map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
	} {
		cmd.AddCommand(&cobra.Command{
			Use: shell, Short: "Print the script for " + shell, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return write(cmd.Root(), s.Out) },
		})
	}
	choose(cmd)
	return cmd
}

// completeNames completes the names of objects of a kind.
func completeNames(s *session.Session, k kinds.Kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		reader, err := newReader(s)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		namespace := s.Namespace()
		if everywhere := cmd.Flags().Lookup("all-namespaces"); everywhere != nil && everywhere.Value.String() == "true" {
			namespace = ""
		}
		list, err := reader.List(ctx, objects.Query{Kind: k, Namespace: namespace})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		given := make(map[string]bool)
		for _, a := range args {
			given[a] = true
		}
		var names []cobra.Completion
		for _, o := range list.Items {
			if n := o.Metadata.Name; strings.HasPrefix(n, begun) && !given[n] {
				names = append(names, n)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNamespaces completes the names of namespaces.
func completeNamespaces(s *session.Session) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		c, err := s.Client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var list corev1.NamespaceList
		if err := c.List(ctx, &list); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []cobra.Completion
		for _, ns := range list.Items {
			if strings.HasPrefix(ns.Name, begun) {
				names = append(names, ns.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeContexts completes the names of contexts of the kubeconfig.
func completeContexts(s *session.Session) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		raw, err := s.Getter().ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []cobra.Completion
		for name := range raw.Contexts {
			if strings.HasPrefix(name, begun) {
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag completes the values of a flag, which the command must have.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag: a mistake in this program
	}
}
