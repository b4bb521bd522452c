package verb

import (
	"context"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/show"
)

// follow prints objects, and each again as it changes, until ctx ends.
func (g *get) follow(ctx context.Context, reader objects.Reader, queries []objects.Query, match func(kinds.Object) bool) error {
	client, err := g.Client()
	if err != nil {
		return err
	}
	columns := kinds.Common()
	if len(queries) == 1 {
		columns = g.columns(queries[0].Kind)
	}
	stream := show.NewStream(g.Out, g.head(columns), show.Options{Wide: g.wide(), NoHeader: g.noHeader, Colour: g.Colour})
	return reader.Follow(ctx, client, queries, func(all []kinds.Object) error {
		var rows [][]string
		for _, o := range all {
			if match(o) {
				rows = append(rows, g.row(columns, o, len(queries) > 1))
			}
		}
		return stream.Print(rows)
	}, func(err error) { g.Warn("%v", err) })
}
