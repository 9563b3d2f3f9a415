package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"
)

type statusCommand struct {
	configFlag
	JSON bool `help:"Everything, as JSON."`
}

// Run asks the admin socket of the running daemon.
func (c statusCommand) Run(s streams) error {
	conf, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	page := "/status"
	if c.JSON {
		page = "/status.json"
	}
	return ask(conf.Admin.Listen, page, s.out)
}

// askTimeout is how long the daemon may take to answer; longer than it waits for its own loop.
const askTimeout = 3 * sampleTimeout

// ask copies a page of the admin socket to w.
func ask(at Listen, page string, w io.Writer) error {
	network, address := at.split()
	if network == "" {
		return &failure{exitConfig, errors.New("admin.listen is empty, so the daemon cannot be asked; set it and restart smtpfeed")}
	}
	client := http.Client{Timeout: askTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	r, err := client.Get("http://smtpfeed" + page)
	if err != nil {
		return askFailure(at, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return &failure{exitUnavailable, fmt.Errorf("%s answered %s: is it smtpfeed's?", at.spec, r.Status)}
	}
	if _, err := io.Copy(w, r.Body); err != nil {
		return &failure{exitUnavailable, fmt.Errorf("status from %s: %w", at.spec, err)}
	}
	return nil
}

// askFailure says why the daemon could not be asked.
func askFailure(at Listen, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &failure{exitPermission, fmt.Errorf("%s: %w; ask as root or as a member of the socket's group", at.spec, fs.ErrPermission)}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &failure{exitTemporary, fmt.Errorf("%s: smtpfeed did not answer in %s", at.spec, time.Duration(askTimeout))}
	default:
		return &failure{exitUnavailable, fmt.Errorf("smtpfeed does not run, or with another admin.listen: %w", errors.Unwrap(err))}
	}
}
