package lmtp

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A host that has read the final replies of an envelope does not send its recipients again, and one that has not does. Which it is shows
// in what it does next: it sends a further command behind the last reply. Where the command was there before, since hosts send QUIT right
// behind the content, it is the end of the connection that tells: one that ends with replies unread is a broken one.

// hasInput says that the host has sent more than was read; called before the last reply is written.
func (c *conn) hasInput() bool {
	if c.w > c.r {
		return true
	}
	return events(c.Conn, unix.POLLIN)&unix.POLLIN != 0
}

// events is what poll(2) says of a connection at this moment; nothing of one that is no file.
func events(c any, wanted int16) (found int16) {
	onSocket(c, func(fd int) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: wanted}}
		if n, err := unix.Poll(fds, 0); err == nil && n > 0 {
			found = fds[0].Revents
		}
	})
	return found
}

// part tells the Mailer whether the host has read the final replies that were given.
func (c *conn) part(read bool) {
	for _, envelope := range c.answered {
		if read && !c.hasLeft() {
			c.config.Mailer.Taken(envelope)
		} else {
			c.config.Mailer.Abandoned(envelope)
		}
	}
	c.answered = c.answered[:0]
}

// readAll says that the host has read every reply: all were written, and the host ended its side in order. It waits for that.
func (c *conn) readAll() bool {
	if c.hasLeft() || !errors.Is(c.out.failure(), net.ErrClosed) {
		return false
	}
	if c.ended {
		c.inputErr = nil // that was ours: what the host does now tells
	}
	if c.inputErr == nil {
		half, ok := c.Conn.(interface{ CloseWrite() error })
		if !ok {
			return true // a pair of pipes: what was written is in the host's hands
		}
		if half.CloseWrite() != nil {
			return false
		}
		c.awaitEnd()
	}
	return c.inputErr == io.EOF && !reset(c.Conn)
}

// awaitEnd waits for the end of the input, for as long as a host may take to read replies. What it still sends is for nobody.
func (c *conn) awaitEnd() {
	c.mu.Lock()
	c.parting = true
	c.mu.Unlock()
	c.wait(time.Now().Add(c.config.WriteTimeout))
	for c.inputErr == nil {
		c.r = c.w
		_ = c.fill() // it is in inputErr
	}
	c.waited()
}

// allRead says that the other end of a unix socket has read all that was written, and is still there.
func allRead(c any) bool {
	if _, ok := c.(*net.UnixConn); !ok || hungUp(c) {
		return false // of TCP the kernel knows only that the other kernel has it
	}
	unread := -1
	onSocket(c, func(fd int) {
		if n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			unread = n
		}
	})
	return unread == 0
}

// reset says that the other end of a socket broke it, as a host does that dies with replies unread.
func reset(c any) bool {
	code := 0
	onSocket(c, func(fd int) { code, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR) })
	return code != 0
}

// onSocket calls f with the descriptor of a connection, if it has one.
func onSocket(c any, f func(fd int)) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // of a closed one nothing is known
	}
}
