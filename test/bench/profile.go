package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profile begins a CPU profile of smtpfeed, over its admin socket, and returns when it has begun, more or less. The channel is closed when
// it has been written, to a new file whose name begins with the shape's key: several can be merged with `go tool pprof`.
func (d *daemon) profile(dir, key string) <-chan struct{} {
	done := make(chan struct{})
	if dir == "" {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		if err := d.writeProfile(dir, key); err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile:", err)
		}
	}()
	time.Sleep(100 * time.Millisecond)
	return done
}

func (d *daemon) writeProfile(dir, key string) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.dir, "admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed/debug/pprof/profile?seconds=3")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	f, err := os.CreateTemp(dir, key+"-*.prof")
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r.Body); err != nil {
		return err
	}
	return f.Close()
}
