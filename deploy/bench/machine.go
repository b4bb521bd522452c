package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what was measured on, and of which commit.
type machine struct {
	date       string // of today
	cores      int
	processor  string
	memory     string
	platform   string
	goVersion  string
	commit     string
	load       string // of the last minute, before anything was started
	kubernetes string // by asking the API server
}

// needed are the programs that run. Report and advice name them.
func needed() []string { return []string{"localplane", "source-controller", "kustomize-controller"} }

// describe looks at this machine and at the programs in bin.
func describe(bin string) (machine, error) {
	for _, name := range needed() {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return machine{}, fmt.Errorf("%w: run `make build` first", err)
			}
			return machine{}, err
		}
	}
	info, err := buildinfo.ReadFile(filepath.Join(bin, "kustomize-controller"))
	if err != nil {
		return machine{}, err
	}
	m := machine{
		date: time.Now().UTC().Format(time.DateOnly), cores: runtime.NumCPU(), platform: runtime.GOOS + "/" + runtime.GOARCH,
		goVersion: info.GoVersion, commit: commit(info), processor: "unknown", memory: "unknown", load: "unknown",
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := field(text, "model name"); name != "" {
			m.processor = name
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.memory = gibibytes(field(text, "MemTotal"))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(text), " ")
	}
	return m, nil
}

// commit names the commit that a program was built of.
func commit(info *buildinfo.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "unknown"
	}
	text := fmt.Sprintf("%.12s", revision)
	if settings["vcs.modified"] == "true" {
		text += ", with changes"
	}
	return text
}

// gibibytes rounds an amount as /proc/meminfo has it: "16384256 kB".
func gibibytes(text string) string {
	var kib int64
	if _, err := fmt.Sscanf(strings.TrimSpace(text), "%d kB", &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB", float64(kib)/(1<<20))
}
