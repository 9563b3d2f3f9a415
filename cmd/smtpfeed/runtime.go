package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// collectAt is how many percent of what is alive may be garbage before it is collected. Go's own 100 spends a sixth of a list's CPU on
// collecting; a list's memory is mostly alive until the list is done, so the peak grows far less than this number.
const collectAt = 400

// tuneRuntime sets what the environment does not: GOGC wins. With SMTPFEED_CONTENTION set, the admin socket's mutex and block
// profiles show something, at some cost.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("SMTPFEED_CONTENTION") != "" {
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(10000) // ns blocked for one sample
	}
}
