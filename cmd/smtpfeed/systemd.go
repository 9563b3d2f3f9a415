package main

import (
	"context"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// What systemd is told (sd_notify(3)).
const (
	stateReady    = systemd.SdNotifyReady
	stateStopping = systemd.SdNotifyStopping
	stateAlive    = systemd.SdNotifyWatchdog
)

// notify tells systemd a state. Without systemd nothing happens, and an error changes nothing we could act on.
func notify(state string) { _, _ = systemd.SdNotify(false, state) }

// watchdog tells systemd that the program lives, twice in each WatchdogSec=, as long as the feeder's loop answers: a process whose
// loop hangs is no use to anybody, and restarting it loses nothing, for the host MTA has the mail.
func (d *daemon) watchdog() {
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-d.ending:
			return
		case <-tick.C:
		}
		if d.alive(limit / 2) {
			notify(stateAlive)
		} else {
			d.log.Error("the feeder's loop does not answer; systemd is not told that we live")
		}
	}
}

// alive says that the feeder's loop answers in time. While draining the loop ends as it should.
func (d *daemon) alive(within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := d.delivery.feeder.Snapshot(ctx)
	return err == nil || d.draining.Load()
}
