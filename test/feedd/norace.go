//go:build !race

package feedd

// raceEnabled says that the test runs with -race.
const raceEnabled = false
