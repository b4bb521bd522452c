package verb

import (
	"strings"
	"time"

	"weir.dev/deploy/cli/internal/edits"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/show"
)

// byHand is where what is set by hand is written.
const byHand = "by hand"

func (b *blaming) print(all []fault) error {
	if b.format == show.JSON || b.format == show.YAML {
		return printStructured(b.Session, b.format, all)
	}
	highlight := func(cell string) string {
		if edits.ByHand(cell) {
			return show.Yellow
		}
		return ""
	}
	table := show.Table{Columns: []show.Column{
		{Name: "Field"}, {Name: "Value"}, {Name: "Manager", Colour: highlight}, {Name: "How", Wide: true}, {Name: "Owner", Wide: true},
		{Name: "Revision", Wide: true}, {Name: "Commit"}, {Name: "Author"}, {Name: "Date"}, {Name: "Where"}, {Name: "Subject", Wide: true},
	}}
	wide := b.format == show.Wide
	for _, f := range all {
		var commit, author, subject string
		at := f.Time
		switch {
		case f.Commit != nil:
			commit, author, at, subject = f.Commit.Hash[:8], f.Commit.Author, f.Commit.When, f.Commit.Subject
		case f.Setter != nil:
			at = f.Setter.Time
		case f.Owner != "":
			at = time.Time{} // when it was applied is not when it was written
		}
		value := f.Value
		if !wide {
			value = short(value)
		}
		table.Rows = append(table.Rows, []string{
			f.Field, value, f.Manager, f.How, f.Owner, kinds.Shorten(f.Revision), commit, author, moment(at), f.where(), subject,
		})
	}
	return table.Print(b.Out, show.Options{Wide: wide, NoHeader: b.noHeader, Colour: b.Colour})
}

// where says where a field is set.
func (f fault) where() string {
	var parts []string
	switch {
	case f.Place == nil:
	case f.Place.Exact:
		parts = append(parts, f.Place.String())
	default:
		parts = append(parts, f.Place.String()+" (the object)")
	}
	parts = append(parts, f.Via...)
	if f.Setter != nil {
		parts = append(parts, "set by "+f.Setter.Manager)
	}
	if f.Chart != "" {
		parts = append(parts, "chart "+f.Chart)
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case f.ByHand:
		return byHand
	}
	return f.Owner // which is all that is known
}

// narrow is how much of a value is shown where there are many columns.
const narrow = 32

// short returns as much of a value as fits.
func short(value string) string {
	if runes := []rune(value); len(runes) > narrow {
		return string(runes[:narrow-1]) + "…"
	}
	return value
}
