// Package show prints tables and objects as people and scripts want them.
package show

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/liggitt/tabwriter"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/printers"
)

// Formats that objects and tables are printed in.
const (
	Text = ""
	Wide = "wide"
	Name = "name"
	JSON = "json"
	YAML = "yaml"
)

// breaks are what the printer takes for the end of a cell.
const breaks = "\n\r\f"

// CheckFormat refuses formats that there are not.
func CheckFormat(format string) error {
	if all := []string{Text, Wide, Name, JSON, YAML}; !slices.Contains(all, format) {
		return fmt.Errorf("there is no output format %q: take one of %s", format, strings.Join(all[1:], ", "))
	}
	return nil
}

// Table is what is printed in columns.
type Table struct {
	Columns []Column
	Rows    [][]string
}

// Column is the head of a column.
type Column struct {
	Name string
	// Wide columns are left out unless it is asked for them.
	Wide bool
	// Colour returns what a cell is shown in, where there are colours. Without it, the columns
	// Ready and Status have those of their words.
	Colour func(cell string) string
}

// Options say how a table is printed.
type Options struct {
	Wide     bool
	NoHeader bool
	Colour   bool
}

// Print prints a table. One without rows is nothing.
func (t Table) Print(w io.Writer, o Options) error {
	var out bytes.Buffer
	printer := printers.NewTablePrinter(printers.PrintOptions{Wide: o.Wide, NoHeaders: o.NoHeader})
	if err := printer.PrintObj(t.meta(), &out); err != nil {
		return err
	}
	text := trimmed(out.String())
	if o.Colour {
		text = t.coloured(text, o.Wide)
	}
	_, err := io.WriteString(w, text)
	return err
}

// meta returns the table as the printer of kubectl takes it.
func (t Table) meta() *metav1.Table {
	table := &metav1.Table{}
	for _, c := range t.Columns {
		definition := metav1.TableColumnDefinition{Name: c.Name, Type: "string"}
		if c.Wide {
			definition.Priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, definition)
	}
	for _, r := range t.Rows {
		row := metav1.TableRow{Cells: make([]any, len(r))}
		for i, cell := range r {
			row.Cells[i] = cell
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

// OneLine returns text of several lines as one, for a cell: all but the first line of a cell
// is left out.
func OneLine(text string) string {
	if !strings.ContainsAny(text, breaks) {
		return text
	}
	var out strings.Builder
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(breaks, r) }) {
		line = strings.TrimSpace(line)
		switch before := out.String(); {
		case line == "":
			continue
		case before == "":
		case strings.HasSuffix(before, ":"), strings.HasSuffix(before, ","), strings.HasSuffix(before, ";"):
			out.WriteByte(' ')
		default:
			out.WriteString("; ")
		}
		out.WriteString(line)
	}
	return out.String()
}

// trimmed leaves no spaces at the ends of lines.
func trimmed(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for line := range strings.Lines(text) {
		content, ended := strings.CutSuffix(line, "\n")
		out.WriteString(strings.TrimRight(content, " "))
		if ended {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// Colours begin what is shown in them, and Plain ends it.
const (
	Red    = "\x1b[31m"
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Cyan   = "\x1b[36m"
	Plain  = "\x1b[0m"
)

// colourOf are the words that say how something is, where they stand in a column of
// their own.
var colourOf = map[string]string{
	"True": Green, "Current": Green, "Ready": Green,
	"False": Red, "Failed": Red, "NotFound": Red,
	"Unknown": Yellow, "InProgress": Yellow, "Terminating": Yellow,
}

// stateColumns are the columns of such words. Others, such as SUSPENDED, are no verdict.
var stateColumns = []string{"READY", "STATUS"}

// Verdict returns the colour of a word that says how something is, "" for none.
func Verdict(word string) string { return colourOf[word] }

// colour returns what the cell of a column is shown in, "" for nothing special.
func (c Column) colour(cell string) string {
	switch {
	case c.Colour != nil:
		return c.Colour(cell)
	case slices.Contains(stateColumns, strings.ToUpper(c.Name)):
		return Verdict(cell)
	}
	return ""
}

// In shows text in a colour, if there is one.
func In(colour, text string) string {
	if colour == "" || text == "" {
		return text
	}
	return colour + text + Plain
}

// coloured colours the cells in the lines of rows, which are the last ones of text. A cell is
// found behind the one before it: the printer decides how wide columns are.
func (t Table) coloured(text string, wide bool) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	first := len(lines) - len(t.Rows)
	if first < 0 {
		return text
	}
	for n, row := range t.Rows {
		line, done := lines[first+n], ""
		for i, c := range t.Columns {
			if c.Wide && !wide {
				continue
			}
			at := strings.Index(line, row[i])
			if at < 0 {
				break // the printer has written it differently
			}
			done += line[:at] + In(c.colour(row[i]), row[i])
			line = line[at+len(row[i]):]
		}
		lines[first+n] = done + line
	}
	return strings.Join(lines, "") + "\n"
}

// Objects prints objects in one of the formats but Text and Wide: one by itself if single
// is set, else a list.
func Objects(w io.Writer, format string, objects []*unstructured.Unstructured, single bool) error {
	var printer printers.ResourcePrinter
	switch format {
	case JSON:
		printer = &printers.JSONPrinter{}
	case YAML:
		printer = &printers.YAMLPrinter{}
	case Name:
		for _, o := range objects {
			gvk := o.GroupVersionKind()
			if _, err := fmt.Fprintf(w, "%s.%s/%s\n", strings.ToLower(gvk.Kind), gvk.Group, o.GetName()); err != nil {
				return err
			}
		}
		return nil
	default:
		return CheckFormat(format)
	}
	if single && len(objects) == 1 {
		return printer.PrintObj(objects[0], w)
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}}}
	for _, o := range objects {
		list.Items = append(list.Items, *o)
	}
	return printer.PrintObj(list, w)
}

// Stream prints rows as they come, below one header.
type Stream struct {
	w       io.Writer
	text    *bytes.Buffer
	out     *tabwriter.Writer
	printer printers.ResourcePrinter
	columns []Column
	opts    Options
}

// NewStream returns a stream that has printed nothing yet.
func NewStream(w io.Writer, columns []Column, o Options) *Stream {
	text := &bytes.Buffer{}
	return &Stream{
		w: w, text: text, out: printers.GetNewTabWriter(text),
		printer: printers.NewTablePrinter(printers.PrintOptions{Wide: o.Wide, NoHeaders: o.NoHeader}),
		columns: columns, opts: o,
	}
}

// Print prints rows. Columns are as wide as any value that was in them so far.
func (s *Stream) Print(rows [][]string) error {
	table := Table{Columns: s.columns, Rows: rows}
	if err := s.printer.PrintObj(table.meta(), s.out); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	text := trimmed(s.text.String())
	s.text.Reset()
	if s.opts.Colour {
		text = table.coloured(text, s.opts.Wide)
	}
	_, err := io.WriteString(s.w, text)
	return err
}
