//go:build !linux

package main

import "syscall"

// dieWithParent can do nothing here; an interrupted run still ends what it started.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
