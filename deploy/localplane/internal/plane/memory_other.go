//go:build unix && !linux

package plane

import (
	"os/exec"
	"strconv"
	"strings"
)

// memoryOf asks ps. A process that has ended has nothing.
func memoryOf(pid int) memory {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return memory{}
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return memory{}
	}
	return memory{resident: kib << 10}
}
