package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
)

// contention asks smtpfeed to record who waits for locks and channels from its start on, which costs time and is therefore off otherwise.
const contention = "SMTPFEED_CONTENTION=1"

// profileFile makes a new file in a directory; "" is none.
func profileFile(dir, name string) (string, error) {
	if dir == "" {
		return "", nil
	}
	f, err := os.CreateTemp(dir, name+"-*.prof")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// profileSelf writes a CPU profile of this process until the returned function is called; "" is nowhere.
func profileSelf(file string) (end func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// profile begins to write profiles of smtpfeed, over its admin socket, to files whose names begin with the shape's key, and returns
// what ends it: CPU, second by second, for `go tool pprof DIR/a-cpu-*.prof` to merge; and at the end what has added up since smtpfeed's start,
// allocations and waiting (block: for whatever; mutex: for locks, by who held them).
func (d *daemon) profile(dir, key string) (end func()) {
	if dir == "" {
		return func() {}
	}
	report(d.recordsWaiting())
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			report(d.writeProfile(dir, key+"-cpu", "profile?seconds=1"))
		}
	})
	return func() {
		cancel()
		writing.Wait()
		for _, what := range []string{"allocs", "mutex", "block"} {
			report(d.writeProfile(dir, key+"-"+what, what))
		}
	}
}

// report tells of what does not make a run invalid.
func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: profile:", err)
	}
}

// recordsWaiting is an error when the profiles of waiting will be empty.
func (d *daemon) recordsWaiting() error {
	r, err := d.pprof("mutex?debug=1")
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err == nil && bytes.Contains(text, []byte("sampling period=0\n")) {
		err = fmt.Errorf("this smtpfeed does not know %s: its profiles mutex and block are empty", contention)
	}
	return err
}

// pprof asks smtpfeed's admin socket for a profile.
func (d *daemon) pprof(what string) (io.ReadCloser, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.dir, "admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed/debug/pprof/" + what)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		r.Body.Close()
		return nil, fmt.Errorf("%s: %s", what, r.Status)
	}
	return r.Body, nil
}

// writeProfile puts a profile into a new file.
func (d *daemon) writeProfile(dir, name, what string) error {
	r, err := d.pprof(what)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.CreateTemp(dir, name+"-*.prof")
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	return f.Close()
}
