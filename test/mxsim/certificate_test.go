package mxsim_test

import (
	"crypto/tls"
	"testing"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// certificate makes a server's configuration for the name mx, and the client's that trusts it.
func certificate(t *testing.T) (server, trust *tls.Config) {
	t.Helper()
	a := mxsim.NewAuthority("test root")
	return a.Issue("mx").Config(), &tls.Config{RootCAs: a.Pool(), ServerName: "mx"}
}
