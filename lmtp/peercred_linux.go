package lmtp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// credentials asks the kernel who connected (unix(7), SO_PEERCRED): as of connect(2), so a process that gives its descriptor to
// another, or changes its user afterwards, changes nothing.
func credentials(c net.Conn) (peer, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return peer{}, fmt.Errorf("%T has no credentials", c)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return peer{}, os.NewSyscallError("SO_PEERCRED", err)
	}
	return peer{known: true, uid: cred.Uid, gid: cred.Gid, pid: cred.Pid}, nil
}

// distinct says why a user cannot be told from others. To a process in a user namespace (user_namespaces(7)) all users that it does
// not know are one, the overflow user: those of the whole machine, where the unit has PrivateUsers=.
func distinct(uid uint32) error {
	if uid == overflowUser() {
		return fmt.Errorf("user %d stands for everybody whom this process cannot tell apart; let the host MTA run as another", uid)
	}
	if text, err := os.ReadFile("/proc/self/uid_map"); err == nil && !mapped(string(text), uid) {
		return fmt.Errorf("user %d cannot be told from others in this user namespace; set PrivateUsers=no in the unit", uid)
	}
	return nil
}

// overflowUser is the number of the overflow user (proc(5)).
func overflowUser() uint32 {
	const usual = 65534
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return usual
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return usual
	}
	return uint32(n)
}

// mapped says that the namespace whose uid_map this is knows the user. Lines are "first-inside first-outside count".
func mapped(uidMap string, uid uint32) bool {
	for line := range strings.Lines(uidMap) {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 && uint64(uid) >= first && uint64(uid)-first < count {
			return true
		}
	}
	return false
}
