//go:build !race

package lists

// raceEnabled says that the test runs with -race.
const raceEnabled = false
