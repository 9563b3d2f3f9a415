package conformance

import "time"

// quitRows: whatever becomes of QUIT changes nothing, neither of the message before nor of the one behind it.
func quitRows() (rows []row) {
	for _, quit := range []struct {
		rule string
		do   []act
	}{
		{"no reply", do(hush)}, {"4xx", do(say("421 no"), hush)}, {"5xx", do(say("500 no"), hush)}, {"garbage", do(say("hello"), hush)}, {"FIN", do(fin)}, {"RST", do(rst)},
		{"10 s late", do(pause(10*time.Second), say("221 bye"), fin)}, {"it stops reading", do(deaf)},
		{"a final reply once more", do(say("550 no", "221 bye"), fin)},
	} {
		rows = append(rows, row{id: "REU-11", rule: "QUIT: " + quit.rule, want: all("OK"), then: fresh, rest: 1500 * time.Millisecond,
			setup: setup{idle: time.Second}, faults: []fault{{at: atQuit, do: quit.do}}})
	}
	return rows
}
