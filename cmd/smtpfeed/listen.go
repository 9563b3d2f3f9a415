package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// passedListeners are the sockets that systemd opened for us (sd_listen_fds(3)); none without socket activation.
func passedListeners() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("sockets passed by systemd: %w", err)
	}
	for i, l := range all {
		if l == nil {
			return nil, fmt.Errorf("socket %d passed by systemd is not a stream socket; use ListenStream= in the socket unit", i+1)
		}
	}
	return all, nil
}

// listenFailure says why an address cannot be listened on and what to do about it.
func listenFailure(key string, err error) error {
	code, advice := exitUnavailable, "or change "+key
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		code, advice = exitUnavailable, "another smtpfeed runs, or another program has this address: stop it or change "+key
	case errors.Is(err, fs.ErrNotExist):
		code, advice = exitCantCreate, "create its directory for the user smtpfeed runs as (RuntimeDirectory= in systemd), or change "+key
	case errors.Is(err, fs.ErrPermission):
		code, advice = exitPermission, "make its directory writable for the user smtpfeed runs as, or change "+key
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		code, advice = exitConfig, "this machine has no such address: change "+key
	}
	return &failure{code, fmt.Errorf("%s: %w; %s", key, err, advice)}
}
