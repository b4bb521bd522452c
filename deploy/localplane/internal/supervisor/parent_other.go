//go:build unix && !linux

package supervisor

import "syscall"

// dieWithParent has no means here beyond the pipe.
func dieWithParent() *syscall.SysProcAttr { return nil }
