package main

import (
	"strings"
	"unicode/utf8"
)

// column is one of a table.
type column struct {
	title string
	left  bool // aligned; otherwise right, as numbers are
}

// table lays out rows below the titles of their columns.
func table(columns []column, rows [][]string) string {
	titles := make([]string, len(columns))
	widths := make([]int, len(columns))
	for i, c := range columns {
		titles[i] = c.title
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	rule := make([]string, len(columns))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	var b strings.Builder
	for _, row := range append([][]string{titles, rule}, rows...) {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = pad(row[i], widths[i], c.left)
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	return b.String()
}

func pad(text string, width int, left bool) string {
	space := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if left {
		return text + space
	}
	return space + text
}
