package main

import (
	"cmp"
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
	date        string // of today
	cores       int
	processor   string
	memory      string
	platform    string
	goVersion   string
	commit      string
	controllers string // whose they are
	load        string // of the last minute, before anything was started
	kubernetes  string // by asking the API server
}

const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"
	helmController      = "helm-controller"
	imageController     = "image-controller"
)

// programs are the controllers that are measured.
func (o options) programs() []string {
	all := []string{sourceController, kustomizeController}
	if o.releases() {
		all = append(all, helmController)
	}
	if !o.foreign() {
		all = append(all, imageController)
	}
	return all
}

// releases reports whether there is a controller of releases, which others need not have.
func (o options) releases() bool {
	if !o.foreign() {
		return true
	}
	_, err := os.Stat(filepath.Join(o.folder(), helmController))
	return err == nil
}

// find makes sure that the programs that run are there. Its advice names what is not.
func find(o options) error {
	where := map[string]string{"localplane": o.bin}
	for _, name := range o.programs() {
		where[name] = o.folder()
	}
	for name, folder := range where {
		_, err := os.Stat(filepath.Join(folder, name))
		switch {
		case err == nil:
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case folder != o.bin:
			return fmt.Errorf("%w: -controllers, or BENCH_CONTROLLERS, must be a folder of source-controller and kustomize-controller", err)
		default:
			return fmt.Errorf("%w: run `make build` first", err)
		}
	}
	return nil
}

// folder is where the controllers are.
func (o options) folder() string { return cmp.Or(o.controllers, o.bin) }

// describe looks at this machine and at the programs.
func describe(o options) (machine, error) {
	if err := find(o); err != nil {
		return machine{}, err
	}
	m := machine{
		date: time.Now().UTC().Format(time.DateOnly), cores: runtime.NumCPU(), platform: runtime.GOOS + "/" + runtime.GOARCH,
		goVersion: "unknown", commit: "unknown", processor: "unknown", memory: "unknown", load: "unknown",
	}
	var whose []string
	for _, name := range o.programs() {
		made := "unknown"
		if info, err := buildinfo.ReadFile(filepath.Join(o.folder(), name)); err == nil { // else it was not made by Go
			m.goVersion, m.commit = info.GoVersion, commit(info)
			made = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
		}
		whose = append(whose, made)
	}
	m.controllers = fmt.Sprintf("%s, of the folder %s", strings.Join(whose, ", "), o.folder())
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
