package verb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

// about says what families of kinds are.
var about = map[string]string{
	kinds.Sources:   "sources of manifests and charts",
	kinds.Images:    "images, and what is done about new ones",
	kinds.Artifacts: "what makes artifacts of artifacts",
}

// perKind adds a command for each of the kinds to a verb, called by name: `sources git`,
// `kustomizations`. The others of its names are aliases. What build returns as Use are the
// arguments.
func perKind(s *session.Session, verb *cobra.Command, all []kinds.Kind, name func(kinds.Kind) string, build func(kinds.Kind) *cobra.Command) {
	for _, k := range all {
		cmd := build(k)
		cmd.Use = strings.TrimSpace(name(k) + " " + cmd.Use)
		cmd.Aliases = slices.DeleteFunc(slices.Clone(k.Names), func(n string) bool { return n == name(k) })
		cmd.ValidArgsFunction = completeNames(s, k)
		if k.Family == "" {
			verb.AddCommand(cmd)
		} else {
			family(verb, k.Family).AddCommand(cmd)
		}
	}
	choose(verb)
}

// family returns the command of a family of kinds: `sources` of get, `source` of all
// others, and the other as an alias.
func family(verb *cobra.Command, name string) *cobra.Command {
	use, alias := strings.TrimSuffix(name, "s"), name
	if verb.Name() == "get" {
		use, alias = alias, use
	}
	for _, c := range verb.Commands() {
		if c.Name() == use {
			return c
		}
	}
	cmd := &cobra.Command{Use: use, Aliases: []string{alias}, Short: upper(verb.Name()) + " " + about[name]}
	choose(cmd)
	verb.AddCommand(cmd)
	return cmd
}

// choose has a command that only has commands say which, if none is given that it has.
func choose(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("%s knows no %q", cmd.CommandPath(), args[0])
		if k, ok := kinds.Find(args[0]); ok {
			if right, _, lost := cmd.Root().Find(append([]string{verbOf(cmd).Name()}, strings.Fields(k.Words())...)); lost == nil && right != verbOf(cmd) {
				return session.Hint(err, "%s", strings.Join(append([]string{right.CommandPath()}, args[1:]...), " "))
			}
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return session.Hint(err, "did you mean %s %s?", cmd.CommandPath(), near[0])
		}
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return session.Hint(err, "it knows: %s", strings.Join(names, ", "))
	}
}

// verbOf returns the verb that a command is of.
func verbOf(cmd *cobra.Command) *cobra.Command {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd
}

// upper returns text with its first letter in upper case.
func upper(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
