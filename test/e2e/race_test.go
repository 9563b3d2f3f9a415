//go:build race

package e2e

// raceEnabled says that the test runs with -race.
const raceEnabled = true
