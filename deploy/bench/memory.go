package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// held is what a program has in memory at some time.
type held struct {
	program, when  string
	resident, peak int64 // bytes; the peak is that since the last measurement began
	files          int64 // bytes of resident that are pages of the program's own file
	heap           heap
	each           int // what it is divided by; 0 means the Kustomizations
}

// heap is what is in use on the heap of a program, right after a collection. It is empty
// for a program that does not tell.
type heap struct {
	live  int64            // bytes, exactly
	parts map[string]int64 // by the package on whose behalf it was made, from a sample
}

// held returns what every program has in memory now. Each is made to collect garbage, but
// only after its size was read.
func (m *meter) held(ctx context.Context, when string) ([]held, error) {
	all := make([]held, len(m.programs))
	for i, p := range m.programs {
		h, err := p.held(ctx)
		if err != nil {
			return nil, fmt.Errorf("measuring the memory of %s: %w", p.name, err)
		}
		h.when = when
		all[i] = h
	}
	return all, nil
}

func (p program) held(ctx context.Context) (held, error) {
	h := held{program: p.name}
	status, err := os.ReadFile(procPath(p.pid, "status"))
	if err != nil {
		return h, err
	}
	for what, bytes := range map[string]*int64{"VmRSS": &h.resident, "VmHWM": &h.peak, "RssFile": &h.files} {
		if *bytes, err = memoryOf(string(status), what); err != nil {
			return h, err
		}
	}
	profile, err := p.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return h, nil // it does not tell
	}
	h.heap, err = parseHeap(profile)
	return h, err
}

// parseHeap reads a heap profile in the form for people: records of how many objects in
// how many bytes are in use, with the stacks that made them, innermost first, and figures
// of the whole heap.
func parseHeap(profile string) (heap, error) {
	h := heap{parts: make(map[string]int64)}
	var rate, bytes float64
	var stack []string
	flush := func() {
		if len(stack) > 0 {
			h.parts[partOf(stack)] += int64(bytes)
		}
		stack, bytes = nil, 0
	}
	lines := bufio.NewScanner(strings.NewReader(profile))
	lines.Buffer(nil, mostMetrics)
	for lines.Scan() {
		line := lines.Text()
		var objects, size, objectsEver, sizeEver, period float64
		switch {
		case strings.HasPrefix(line, "heap profile:"):
			if _, err := fmt.Sscanf(line, "heap profile: %f: %f [%f: %f] @ heap/%f", &objects, &size, &objectsEver, &sizeEver, &period); err != nil {
				return h, fmt.Errorf("heap profile begins %q: %w", line, err)
			}
			rate = period / 2
		case strings.HasPrefix(line, "# HeapAlloc = "):
			live, err := strconv.ParseInt(strings.TrimPrefix(line, "# HeapAlloc = "), 10, 64)
			if err != nil {
				return h, fmt.Errorf("heap profile: %w", err)
			}
			h.live = live
		case strings.HasPrefix(line, "#\t"):
			if fields := strings.Split(line, "\t"); len(fields) > 2 {
				stack = append(stack, fields[2])
			}
		default:
			flush()
			if n, _ := fmt.Sscanf(line, "%f: %f [%f: %f] @", &objects, &size, &objectsEver, &sizeEver); n == 4 {
				bytes = unsample(objects, size, rate)
			}
		}
	}
	flush()
	return h, lines.Err()
}

// unsample returns how many bytes there are likely to be where a sample has found so
// many objects of so many bytes: about one in rate bytes is sampled.
func unsample(objects, size, rate float64) float64 {
	if objects == 0 || rate <= 1 {
		return size
	}
	return size / (1 - math.Exp(-size/objects/rate))
}

// partOf names on whose behalf something was made: the innermost package that is no mere
// tool; else the innermost one that is not of the standard library.
func partOf(stack []string) string {
	part := ""
	for _, function := range stack {
		p := packageOf(function)
		first, _, _ := strings.Cut(p, "/")
		if !strings.Contains(first, ".") {
			continue // the standard library
		}
		if part == "" {
			part = p
		}
		if !isTool(p) {
			return p
		}
	}
	return cmp.Or(part, packageOf(stack[len(stack)-1]))
}

// isTool reports whether a package makes things for others: decoders, values of the API,
// and what runs everything.
func isTool(name string) bool {
	for _, prefix := range []string{
		"k8s.io/apimachinery/", "k8s.io/api/", "k8s.io/utils/", "k8s.io/kube-openapi/", "sigs.k8s.io/json", "sigs.k8s.io/yaml", "sigs.k8s.io/structured-merge-diff/",
		"go.yaml.in/", "gopkg.in/", "google.golang.org/protobuf/", "github.com/gogo/", "golang.org/x/", "github.com/json-iterator/", "weir.dev/api/", "weir.dev/pkg/manifest",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// packageOf returns the package of a function as stacks name it, with an offset or
// without: a/b.c/d.(*T).f+0x1f is of a/b.c/d.
func packageOf(function string) string {
	dir, base := path.Split(function)
	base, _, _ = strings.Cut(base, ".")
	return dir + strings.ReplaceAll(base, "%2e", ".")
}

// holder is a part of what has come on the heap of a program.
type holder struct {
	program, part string
	bytes         int64
}

const (
	// mostHolders is how many parts of each program are told.
	mostHolders = 8
	// leastHolder is what a part must have to be told, in bytes: less is chance.
	leastHolder = 256 << 10
)

// grown returns what has come on the heaps of programs between two looks, by parts, the
// largest first.
func grown(before, after []held) []holder {
	var all []holder
	for _, a := range after {
		was := map[string]int64{}
		for _, b := range before {
			if b.program == a.program {
				was = b.heap.parts
			}
		}
		var of []holder
		for part, bytes := range a.heap.parts {
			if more := bytes - was[part]; more >= leastHolder {
				of = append(of, holder{program: a.program, part: part, bytes: more})
			}
		}
		slices.SortFunc(of, func(a, b holder) int {
			return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.part, b.part))
		})
		all = append(all, of[:min(len(of), mostHolders)]...)
	}
	return all
}

// memoryReport tells how much memory programs have, and what grows with the number of
// Kustomizations.
func memoryReport(results []result, apps int) string {
	var memory []held
	var live []holder
	for _, r := range results {
		memory, live = append(memory, r.memory...), append(live, r.live...)
	}
	if len(memory) == 0 {
		return ""
	}
	text := fmt.Sprintf("\nMemory, and what grows with the %d Kustomizations of %d objects each\n\n", apps, len(templates()))
	text += table(memoryColumns(), memoryRows(memory, apps))
	if len(live) == 0 {
		return text
	}
	text += "\nWhat has come on the heap until idle, by the package that made it. What a program makes\nonce, as the schemas of kustomize, is in it too, and matters less the more applications\nthere are.\n\n"
	return text + table(holderColumns(), holderRows(live, apps))
}

func memoryColumns() []column {
	return []column{
		{title: "program", left: true}, {title: "when", left: true}, {title: "resident [MiB]"}, {title: "of its file"}, {title: "peak [MiB]"}, {title: "live heap [MiB]"},
		{title: "resident, each [KiB]"}, {title: "live, each [KiB]"},
	}
}

// memoryRows has a row for each look at a program. What is of each Kustomization is what
// came since the first look.
func memoryRows(memory []held, apps int) [][]string {
	var rows [][]string
	byProgram := make(map[string][]held)
	for _, h := range memory {
		byProgram[h.program] = append(byProgram[h.program], h)
	}
	for _, name := range slices.Sorted(maps.Keys(byProgram)) {
		looks := byProgram[name]
		for i, h := range looks {
			row := []string{"", h.when, mebibytes(h.resident), mebibytes(h.files), mebibytes(h.peak), nothing, nothing, nothing}
			if h.heap.live > 0 {
				row[5] = mebibytes(h.heap.live)
			}
			if i == 0 {
				row[0] = name
			} else {
				n := cmp.Or(h.each, apps)
				row[6] = kibibytesEach(h.resident-looks[0].resident, n)
				if h.heap.live > 0 {
					row[7] = kibibytesEach(h.heap.live-looks[0].heap.live, n)
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func holderColumns() []column {
	return []column{{title: "program", left: true}, {title: "package", left: true}, {title: "[MiB]"}, {title: "each [KiB]"}}
}

func holderRows(live []holder, apps int) [][]string {
	var rows [][]string
	last := ""
	for _, h := range live {
		name := h.program
		if name == last {
			name = ""
		}
		last = h.program
		rows = append(rows, []string{name, h.part, mebibytes(h.bytes), kibibytesEach(h.bytes, apps)})
	}
	return rows
}

func kibibytesEach(bytes int64, n int) string {
	return strconv.FormatFloat(float64(bytes)/float64(n)/(1<<10), 'f', 1, 64)
}
