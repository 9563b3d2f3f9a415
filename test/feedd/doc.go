// Package feedd runs the real smtpfeed program for tests: built once for a test binary, configured for a simulated world, started on a
// socket that the test holds as systemd would, asked for its status, stopped and started again.
//
//	SMTPFEED_E2E_BINARY=PATH     tests this smtpfeed instead of building one
package feedd
