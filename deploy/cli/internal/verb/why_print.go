package verb

import (
	"fmt"
	"io"
	"strings"
	"time"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/deploy/cli/internal/why"
)

// print writes the reason for people.
func (r reason) print(w io.Writer, colour bool) error {
	p := &printer{w: w, colour: colour}
	p.field("Object", r.Object)
	if r.Of != r.Object { // of which more is said below
		p.field("Status", p.in(show.Verdict(r.Status), r.Status)+colon(kinds.Shorten(firstLine(r.Message))))
	}
	p.field("Made by", strings.Join(r.MadeBy, ", of "))
	if len(r.By) == 0 {
		p.field("Applied by", p.in(show.Yellow, "no Kustomization and no HelmRelease"))
	}
	for i, s := range r.Managers {
		label := "Written by"
		if i > 0 {
			label = "      and by"
		}
		p.field(label, strings.TrimSuffix(s.Manager+", "+moment(s.Time), ", "))
	}
	for i, s := range r.By {
		label := "Applied by"
		switch {
		case s.Pending:
			label = "Would be by"
		case i > 0:
			label = "which is by"
		}
		p.step(label, s)
	}
	if r.Of == "" {
		return p.err
	}
	if r.Of != r.Object {
		p.line("")
		p.line("%s", r.Of)
	}
	if r.Elsewhere {
		p.field("Applies to", "another cluster, by spec.kubeConfig")
	}
	p.state(*r.State)
	p.dependencies(r.DependsOn)
	p.run(r.Run)
	p.waits(r.Waits)
	return p.err
}

// colon puts a message behind what it explains.
func colon(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// printer writes lines until one fails.
type printer struct {
	w      io.Writer
	colour bool
	err    error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// in shows text in a colour, where there are any.
func (p *printer) in(colour, text string) string {
	if !p.colour {
		return text
	}
	return show.In(colour, text)
}

// margin is where what belongs to a name begins.
const margin = "              "

// field writes a name and a value, if there is one.
func (p *printer) field(name, value string) {
	if value != "" {
		p.line("%-13s %s", name+":", value)
	}
}

// step writes one that applied an object.
func (p *printer) step(label string, s step) {
	p.field(label, s.Name+colon(p.in(show.Red, s.Message)))
	if s.Source != "" {
		from := s.Source
		if s.Revision != "" {
			from += " at " + kinds.Shorten(s.Revision)
		}
		p.field("  from", from)
	}
	if s.Place != nil {
		p.field("  file", s.Place.String())
	}
	if c := s.Commit; c != nil {
		p.field("  changed", fmt.Sprintf("%s by %s, %s: %s", p.in(show.Yellow, c.Hash[:8]), c.Author, moment(c.When), c.Subject))
	}
}

func (p *printer) state(s why.State) {
	if s.Ready == "" {
		p.field("Ready", "its controller has not said anything yet")
		return
	}
	p.field("Ready", p.in(show.Verdict(s.Ready), s.Ready)+" since "+moment(s.Since)+colon(kinds.Shorten(firstLine(s.Message))))
}

// dependencies writes a line for each, those that others wait for in turn below them.
func (p *printer) dependencies(all []why.Dependency) {
	type row struct{ name, how, message string }
	var rows []row
	width := 0
	var walk func([]why.Dependency, string)
	walk = func(all []why.Dependency, lead string) {
		for _, d := range all {
			how := "ready"
			if !d.Ready {
				how = "not ready"
			}
			message := firstLine(d.Message)
			if d.Ready {
				message = ""
			}
			if d.Expr != "" {
				message = strings.TrimPrefix(message+", decided by its readyExpr", ", ")
			}
			rows = append(rows, row{lead + d.Kind + "/" + d.Text, how, kinds.Shorten(message)})
			width = max(width, len(lead+d.Kind+"/"+d.Text))
			walk(d.On, lead+"  ")
		}
	}
	walk(all, "")
	for i, r := range rows {
		label := margin
		if i == 0 {
			label = fmt.Sprintf("%-14s", "Depends on:")
		}
		colour := show.Green
		if r.how != "ready" {
			colour = show.Red
		}
		p.line("%s%-*s  %s%s", label, width, r.name, p.in(colour, r.how), colon(r.message))
	}
}

// run writes what the time of the last run was spent on.
func (p *printer) run(r *why.Run) {
	if r == nil {
		p.field("Last run", "none")
		return
	}
	text := r.Result
	if r.Revision != "" {
		text = kinds.Shorten(r.Revision) + ", " + text
	}
	if !r.Ended.IsZero() {
		text += ", " + moment(r.Ended)
	}
	if r.Took.Duration > 0 {
		text += ", in " + rounded(r.Took.Duration)
	}
	p.field("Last run", text)
	if !r.Fetched.IsZero() {
		p.line("%s%-16s  %s", margin, "fetched", moment(r.Fetched))
	}
	for _, s := range r.Stages {
		p.line("%s%-16s  %s", margin, s.Name, rounded(s.Took.Duration))
	}
}

// rounded leaves no more of a duration than matters.
func rounded(d time.Duration) string {
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// waits writes what is waited for.
func (p *printer) waits(all []string) {
	if len(all) == 0 {
		p.field("Waits for", "nothing")
	}
	for i, text := range all {
		label := margin
		if i == 0 {
			label = fmt.Sprintf("%-14s", "Waits for:")
		}
		p.line("%s%s", label, p.in(show.Yellow, kinds.Shorten(firstLine(text))))
	}
}
