package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// CacheSecretsAndConfigMaps is the feature of holding all Secrets and ConfigMaps of the
// cluster in memory, instead of reading those that are used, when they are used.
const CacheSecretsAndConfigMaps = "CacheSecretsAndConfigMaps"

// features are what --feature-gates turns on and off.
type features map[string]bool

// bindFeatures declares the flag for the features that a program has, with their
// defaults. Inert ones are known, and of no effect.
func bindFeatures(fs *pflag.FlagSet, have features, inert ...string) features {
	g := &gates{have: have, on: maps.Clone(have), described: describe(have, inert)}
	fs.Var(g, "feature-gates", "comma-separated list of feature=true and feature=false; there are "+g.described)
	return g.on
}

// describe lists features for users.
func describe(have features, inert []string) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(have)) {
		what := strconv.FormatBool(have[name])
		if slices.Contains(inert, name) {
			what = "of no effect"
		}
		names = append(names, fmt.Sprintf("%s (%s)", name, what))
	}
	return strings.Join(names, ", ")
}

// gates is the flag: a pflag.Value that refuses what the program does not have.
type gates struct {
	have, on  features
	described string
}

// Set implements pflag.Value. The flag may be given several times.
func (g *gates) Set(list string) error {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		if _, ok := g.have[name]; !ok {
			return fmt.Errorf("%q is no feature: there are %s", name, g.described)
		}
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q: write %s=true or %s=false", item, name, name)
		}
		g.on[name] = on
	}
	return nil
}

// String implements pflag.Value: what differs from the defaults.
func (g *gates) String() string {
	var items []string
	for _, name := range slices.Sorted(maps.Keys(g.on)) {
		if g.on[name] != g.have[name] {
			items = append(items, fmt.Sprintf("%s=%t", name, g.on[name]))
		}
	}
	return strings.Join(items, ",")
}

// Type implements pflag.Value.
func (g *gates) Type() string { return "list" }
