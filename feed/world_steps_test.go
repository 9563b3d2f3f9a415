package feed

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// leaves reads until the client leaves, however it does. Unlike mxsim's StallForever it takes what it is given slowly: n octets
// each second.
func leaves(n int) mxsim.Step {
	return mxsim.Do(fmt.Sprintf("leaves(%d)", n), func(c net.Conn) error {
		b := make([]byte, n)
		for {
			time.Sleep(time.Second)
			if _, err := io.ReadFull(c, b); err != nil {
				return nil
			}
		}
	})
}

// dripping is mxsim.Drip for a client that leaves before the end.
func dripping(gap time.Duration, text string) mxsim.Step {
	return mxsim.Do("dripping", func(c net.Conn) error {
		for i := range len(text) {
			time.Sleep(gap)
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return nil
			}
		}
		return nil
	})
}

// slowly takes size octets, n a second.
func slowly(size, n int) mxsim.Step {
	return mxsim.Do(fmt.Sprintf("slowly(%d, %d)", size, n), func(c net.Conn) error {
		for b := make([]byte, n); size > 0; size -= n {
			time.Sleep(time.Second)
			if _, err := io.ReadFull(c, b[:min(n, size)]); err != nil {
				return err
			}
		}
		return nil
	})
}
