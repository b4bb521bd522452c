package plane

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// memoryOf asks the kernel. A process that has ended has nothing.
func memoryOf(pid int) memory {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}
	}
	var m memory
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil {
			continue // the heading
		}
		switch string(fields[0]) {
		case "Rss:":
			m.resident = kib << 10
		case "Pss:":
			m.share = kib << 10
		}
	}
	return m
}
