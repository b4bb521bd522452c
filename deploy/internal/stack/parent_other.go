//go:build unix && !linux

package stack

import "syscall"

// ofParent has a program be in a process group of its own. There is no means here to end it
// when this process is killed.
func ofParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
