package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// admin is a daemon whose admin socket answers every profile with its own path, and mutex?debug=1 as the runtime does.
func admin(t *testing.T, period string) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir()}
	l, err := net.Listen("unix", filepath.Join(d.dir, "admin.sock"))
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/debug/pprof/allocs":
			http.NotFound(w, r)
		case r.FormValue("debug") == "1":
			w.Write([]byte("--- mutex:\ncycles/second=2000\nsampling period=" + period + "\n"))
		default:
			w.Write([]byte(r.URL.Path))
		}
	})}
	go s.Serve(l) // ends with Close
	t.Cleanup(func() { s.Close() })
	return d
}

func TestProfilesAreWritten(t *testing.T) {
	d, dir := admin(t, "10"), t.TempDir()
	end := d.profile(dir, "b0")
	end()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	kinds := map[string]bool{}
	for _, f := range files {
		kinds[f.Name()[:strings.LastIndexByte(f.Name(), '-')]] = true
	}
	for _, kind := range []string{"b0-mutex", "b0-block"} {
		assert.True(t, kinds[kind], "there is a profile %s", kind)
	}
	assert.False(t, kinds["b0-allocs"], "what smtpfeed does not have is told, not written")
	d.profile("", "b0")()
}

func TestProfileIsWhatTheAdminSocketSays(t *testing.T) {
	d, dir := admin(t, "10"), t.TempDir()
	require.NoError(t, d.writeProfile(dir, "x-block", "block"))
	files, err := filepath.Glob(filepath.Join(dir, "x-block-*.prof"))
	require.NoError(t, err)
	require.Len(t, files, 1, "one profile is one file")
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	assert.Equal(t, "/debug/pprof/block", string(b), "with what was answered")
	assert.ErrorContains(t, d.writeProfile(dir, "x-allocs", "allocs"), "404", "an error is no profile")
}

func TestEmptyProfilesAreAnnounced(t *testing.T) {
	assert.NoError(t, admin(t, "10").recordsWaiting(), "waiting is recorded")
	assert.ErrorContains(t, admin(t, "0").recordsWaiting(), "mutex and block", "or it is said that it is not")
	assert.Error(t, (&daemon{dir: t.TempDir()}).recordsWaiting(), "nobody there is an error too")
}
