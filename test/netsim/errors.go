package netsim

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// sysError looks as package net's errors do; an error that is no errno stays as it is.
func sysError(call string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError(call, errno)
	}
	return err
}

// contextError is how package net reports the end of a dial's context: a net.Error whose Timeout tells a deadline from a cancel.
func contextError(err error) error {
	if err == context.DeadlineExceeded {
		return timeoutError{}
	}
	return err
}

// timeoutError is the unexported error of package net with the same name.
type timeoutError struct{}

func (timeoutError) Error() string        { return "i/o timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func tcpAddr(a netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(a) }
