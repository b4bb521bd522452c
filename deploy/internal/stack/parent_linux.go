package stack

import "syscall"

// ofParent has a program be in a process group of its own, and the kernel ask it to end
// when this process is killed.
func ofParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
