package hostcheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// An Account is who connects to our socket. Postfix, like most daemons that give up root, has its primary group only.
type Account struct {
	Name, Group string
	UID, GID    uint32
}

// A barrier is what keeps an account from a socket.
type barrier struct {
	path string // of the directory or of the socket itself
	dir  bool
	mode fs.FileMode
}

// barrierTo returns what stands between an account and a unix socket: a directory it may not pass, or the socket, which needs
// the permission to write (unix(7)). A socket that does not exist yet gets mode, and owner and group of its directory, as
// systemd makes them. A directory that does not exist is reported elsewhere.
func barrierTo(socket string, who Account, mode fs.FileMode) *barrier {
	dir := filepath.Dir(socket)
	for _, d := range ancestors(dir) {
		info, err := os.Stat(d)
		if err != nil {
			return nil
		}
		if !may(info, info.Mode(), who, 1) {
			return &barrier{d, true, info.Mode().Perm()}
		}
	}
	info, err := os.Stat(socket)
	if err == nil {
		mode = info.Mode()
	} else if info, err = os.Stat(dir); err != nil {
		return nil
	}
	if may(info, mode, who, 2) {
		return nil
	}
	return &barrier{socket, false, mode.Perm()}
}

// ancestors lists a directory and all above it, from the root down.
func ancestors(dir string) []string {
	list := []string{dir}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		list = append([]string{dir}, list...)
	}
	return list
}

// may says whether permission bits of this mode, with the owner and group of info, grant a right: 1 to pass, 2 to write. The
// first class that matches decides, also when a later one would grant more.
func may(info fs.FileInfo, mode fs.FileMode, who Account, right fs.FileMode) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || who.UID == 0:
		return true
	case owner.Uid == who.UID:
		return mode&(right<<6) != 0
	case owner.Gid == who.GID:
		return mode&(right<<3) != 0
	default:
		return mode&right != 0
	}
}

// writableByOthers returns the first directory on the way to a file that others may write to: everybody, or its group too.
func writableByOthers(file string, bits fs.FileMode) string {
	for _, d := range ancestors(filepath.Dir(file)) {
		if info, err := os.Stat(d); err == nil && info.Mode()&bits != 0 {
			return d
		}
	}
	return ""
}
