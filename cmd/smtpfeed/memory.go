package main

import (
	"bufio"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryReserve is what the process may take beside the contents of messages, garbage included: recipients, sessions, buffers. The
// collector works harder as it comes near lmtp.memory and this together, and leaves it alone below.
const memoryReserve = 256 << 20

// fitMemory lowers lmtp.memory to what the machine bears, and bounds the process: a host MTA that hears 452 4.3.1 tries again, while a
// process that the kernel kills takes everybody's transactions with it. bears is 0 when nothing is known.
func fitMemory(c *Config, bears int64, log *slog.Logger) {
	bears -= bears / 10 // for the kernel's own: socket buffers count for a cgroup
	if allowed := max(bears-memoryReserve, bears/2); bears > 0 && int64(c.LMTP.Memory) > allowed {
		log.Warn("the machine has too little memory for lmtp.memory; less is used", "limit", bears, "memory", allowed, "wanted", int64(c.LMTP.Memory))
		c.LMTP.Memory = Size(allowed)
	}
	if c.LMTP.MaxMessageSize > c.LMTP.Memory {
		log.Warn("a message of lmtp.max_message_size never fits into that memory: host MTAs will try it in vain", "max_message_size", int64(c.LMTP.MaxMessageSize))
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(c.LMTP.Memory) + memoryReserve
	if bears > 0 {
		limit = min(limit, bears)
	}
	debug.SetMemoryLimit(limit)
}

// machineMemory is how much memory the process may take: what the machine has, or what its cgroups allow if that is
// less; 0 when nothing is known. Limits of address space (RLIMIT_AS) say nothing: Go reserves addresses that it does not use.
func machineMemory() int64 {
	least := int64(math.MaxInt64)
	for _, n := range append(cgroupLimits("/proc/self/cgroup", "/sys/fs/cgroup"), totalMemory("/proc/meminfo")) {
		if n > 0 {
			least = min(least, n)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// cgroupLimits are those of the process's cgroup and of all above it, of either version (cgroups(7)); a limit that is none is left out.
func cgroupLimits(membership, root string) (limits []int64) {
	text, _ := os.ReadFile(membership)
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[1] == "":
			limits = append(limits, limitsUpward(root, fields[2], "memory.max")...)
		case fields[1] == "memory":
			limits = append(limits, limitsUpward(filepath.Join(root, "memory"), fields[2], "memory.limit_in_bytes")...)
		}
	}
	return limits
}

// limitsUpward reads a limit of a cgroup and of its parents. A process in a container may see its own cgroup as the root.
func limitsUpward(root, path, file string) (limits []int64) {
	for dir := filepath.Join("/", path); ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(root, dir, file))
		if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && n < noLimit { // "max" is no number
			limits = append(limits, n)
		}
		if dir == "/" {
			return limits
		}
	}
}

// noLimit is from where a number means that there is no limit: version 1 says the largest number of pages.
const noLimit = 1 << 60

// totalMemory is the machine's; 0 when it cannot be known.
func totalMemory(meminfo string) int64 {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "MemTotal:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
