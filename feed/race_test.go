//go:build race

package feed

// raceEnabled says that the test runs with -race.
const raceEnabled = true
