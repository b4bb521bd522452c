package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nothing stands for a value that there is not.
const nothing = "-"

const reading = `Ratios to the floor carry over to other machines; times do not, so compare times only
with those of the same machine. The floor is one client that applies the same objects,
%d at a time, one request each, and does nothing else. Where a scenario has rounds, the
time is the median and requests are those of one round.
`

// render makes the report.
func render(about machine, o options, results []result) string {
	var b strings.Builder
	whose := "weir"
	if o.foreign() {
		whose = "the controllers of " + o.controllers
	}
	fmt.Fprintf(&b, "System benchmark of %s\n\n", whose)
	fmt.Fprintf(&b, reading, parallel)
	b.WriteString("\n")
	for _, line := range [][2]string{
		{"date", about.date},
		{"machine", fmt.Sprintf("%d cores, %s, %s, %s", about.cores, about.processor, about.memory, about.platform)},
		{"load before", about.load + "; what else runs makes everything slower, and ratios worse"},
		{"controllers", about.controllers},
		{"commit", about.commit},
		{"Go", about.goVersion},
		{"Kubernetes", about.kubernetes + ", all of it on this machine"},
		{"applications", fmt.Sprintf("%d Kustomizations of %d objects each, interval %s, wait, prune", o.apps, len(templates()), o.interval)},
	} {
		fmt.Fprintf(&b, "%-12s  %s\n", line[0], line[1])
	}
	b.WriteString("\nTimes and requests\n\n" + table(timeColumns(), timeRows(results)))
	b.WriteString("\nWhat the programs used\n\n" + table(costColumns(), costRows(results)))
	if rows := busyRows(results, about.cores); len(rows) > 0 {
		b.WriteString("\nWhere the time went: what all processes used until the work was done\n\n" + table(busyColumns(), rows))
	}
	b.WriteString(memoryReport(results, o.apps))
	b.WriteString("\nNotes\n\n")
	for _, r := range results {
		for _, note := range r.notes {
			fmt.Fprintf(&b, "%s: %s\n", r.name, note)
		}
	}
	return b.String()
}

func timeColumns() []column {
	return []column{
		{title: "scenario", left: true}, {title: "rounds"}, {title: "time [s]"}, {title: "floor [s]"}, {title: "ratio"},
		{title: "requests"}, {title: "floor"}, {title: "ratio"}, {title: "goal", left: true},
	}
}

func timeRows(results []result) [][]string {
	var rows [][]string
	for _, r := range results {
		requests := 0.0
		for _, s := range r.programs {
			requests += each(s.total(), r.rounds)
		}
		row := []string{r.name, strconv.Itoa(r.rounds), orNothing(r.took), nothing, nothing, number(requests), nothing, nothing, r.goal}
		if r.failed {
			row[2], row[5] = "failed", nothing
		}
		if r.floor != nil {
			row[3], row[4] = seconds(r.floor.took), multiple(ratio(r.took, r.floor.took))
			if n := r.floor.total(); n > 0 {
				row[6], row[7] = number(each(n, r.rounds)), multiple(ratio(requests, each(n, r.rounds)))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func costColumns() []column {
	return []column{
		{title: "scenario", left: true}, {title: "program", left: true}, {title: "CPU [s]"}, {title: "peak memory [MiB]"},
		{title: "runs"}, {title: "requests"}, {title: "by method", left: true},
	}
}

// costRows has a row a program, and one of the floor. All is of one round, but the peak.
func costRows(results []result) [][]string {
	var rows [][]string
	for _, r := range results {
		name := r.name
		for _, s := range r.programs {
			runs := number(each(s.runs, r.rounds))
			rows = append(rows, []string{name, s.program, cpu(s.cpu, r.rounds), mebibytes(s.peak), runs, number(each(s.total(), r.rounds)), byMethod(s.requests, r.rounds)})
			name = ""
		}
		if r.floor != nil {
			rows = append(rows, []string{name, "floor", cpu(r.floor.cpu, r.rounds), nothing, nothing, number(each(r.floor.total(), r.rounds)), byMethod(r.floor.requests, r.rounds)})
		}
	}
	return rows
}

// each divides what rounds took together.
func each(n, rounds int) float64 { return float64(n) / float64(rounds) }

// number prints what may be a fraction.
func number(n float64) string {
	if n == float64(int(n)) {
		return strconv.Itoa(int(n))
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// seconds prints a time with as many digits as mean something.
func seconds(d time.Duration) string {
	digits := 1
	if d < 10*time.Second {
		digits = 3
	}
	return strconv.FormatFloat(d.Seconds(), 'f', digits, 64)
}

func orNothing(d time.Duration) string {
	if d == 0 {
		return nothing
	}
	return seconds(d)
}

// cpu prints the CPU time of a round, which is known to a hundredth of a second.
func cpu(d time.Duration, rounds int) string {
	return strconv.FormatFloat(d.Seconds()/float64(rounds), 'f', 3, 64)
}

func mebibytes(n int64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) }

// multiple prints a ratio.
func multiple(r float64, ok bool) string {
	if !ok {
		return nothing
	}
	return strconv.FormatFloat(r, 'f', 2, 64) + "x"
}

// byMethod lists requests.
func byMethod(requests map[string]int, rounds int) string {
	var parts []string
	for _, method := range slices.Sorted(maps.Keys(requests)) {
		parts = append(parts, method+" "+number(each(requests[method], rounds)))
	}
	return strings.Join(parts, ", ")
}
