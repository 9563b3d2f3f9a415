package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

type stdioCommand struct {
	configFlag
	Via string `placeholder:"unix:PATH" help:"Hand the conversation to the daemon that listens there, instead of delivering in this process."`
}

// Run speaks LMTP on standard input and output until the host MTA ends.
func (c stdioCommand) Run(s streams) error {
	// A host MTA that dies, or a terminal that hangs up, must not end us before the recipients are settled and recorded:
	// writes fail with EPIPE instead.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGXFSZ)
	if c.Via != "" {
		return bridge(c.Via, s)
	}
	conf, err := Load(c.Config)
	if err != nil {
		return deferMail(s, err)
	}
	if conf.Log.Deliveries == "-" {
		conf.Log.Deliveries = "" // standard output is the host MTA's, and a line it does not know shifts all replies behind it
	}
	conf.Ledger.Path = ""                                 // it is one process's at a time, and lives longer than a conversation: the daemon's, see --via
	conf.TLS.Policies, conf.TLS.Report.Directory = "", "" // likewise
	level := new(slog.LevelVar)
	level.Set(conf.Log.Level.Level)
	log := newLogger(s.err, level)
	fitSessions(&conf, raiseFileLimit(), log)
	fitMemory(&conf, machineMemory(), log)
	rec := recordsOrNone(conf.Log.Deliveries, log)
	rec.setWait(conf.Log.Wait.Duration)
	d, err := newDelivery(conf, rec, log)
	if err != nil {
		return deferMail(s, err)
	}
	defer d.close()
	conn, err := stdioConn()
	if err != nil {
		return deferMail(s, err)
	}
	return d.converse(conn, conf.LMTP.Budget.Duration+drainGrace)
}

// deferMail tells the host MTA why there is no conversation, in a greeting on which it keeps the mail, and by the one exit code
// that means the same: sendmail bounces what a program leaves with most others, and a mistake in a file is no reason to.
func deferMail(s streams, err error) *failure {
	fmt.Fprintf(s.out, "421 4.3.2 smtpfeed: %s\r\n", wire.Clean(err.Error(), 300))
	return &failure{exitTemporary, err}
}

// recordsOrNone opens the delivery records. The user as whom the host MTA runs us may have no right to them; mail goes on.
func recordsOrNone(path string, log *slog.Logger) *records {
	r, err := openRecords(path, log)
	if err == nil {
		return r
	}
	log.Error("delivery records are not written", "error", err)
	return &records{log: log}
}

// converse serves the one connection. SIGTERM drains, as in serve, for at most patience.
func (d *delivery) converse(conn net.Conn, patience time.Duration) error {
	ended, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	served := make(chan error, 1) // sent once by the goroutine below, which never waits for us
	go func() { served <- d.lmtp.ServeConn(conn) }()
	select {
	case err := <-served:
		if err != nil {
			return &failure{exitTemporary, fmt.Errorf("standard input: %w", err)}
		}
	case <-ended.Done():
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d.drain(ctx)
	}
	return nil
}

// bridge copies between the standard files and the daemon's socket, until the daemon ends the conversation.
func bridge(via string, s streams) error {
	var at Listen
	if err := at.UnmarshalText([]byte(via)); err != nil {
		return deferMail(s, fmt.Errorf("--via: %w", err))
	}
	network, address := at.split()
	conn, err := net.Dial(network, address)
	if err != nil {
		return deferMail(s, fmt.Errorf("--via: %w; is smtpfeed serve running?", err))
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, s.in) // an error is an end too
		// The host MTA has said all, and still wants the replies.
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(s.out, conn); err != nil {
		return &failure{exitTemporary, fmt.Errorf("--via %s: %w", via, err)}
	}
	return nil
}
