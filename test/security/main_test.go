package security

import (
	"os"
	"testing"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

func TestMain(m *testing.M) { os.Exit(feedd.Run(m)) }
