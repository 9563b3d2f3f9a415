package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// machine says on what and with what the figures were taken.
func machine() string {
	s := fmt.Sprintf("%d cores", runtime.NumCPU())
	if model := cpuModel(); model != "" {
		s += " (" + model + ")"
	}
	if release := kernel(); release != "" {
		s += ", Linux " + release
	}
	s += ", " + runtime.Version()
	if v, err := exec.Command("postconf", "-d", "-h", "mail_version").Output(); err == nil {
		s += ", Postfix " + strings.TrimSpace(string(v))
	}
	return s
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kernel is its version without what a distribution appends.
func kernel() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	var b strings.Builder
	for _, c := range u.Release {
		if c == 0 || c == '-' {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
