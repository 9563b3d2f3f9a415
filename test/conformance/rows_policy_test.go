package conformance

// policyRows are what exchangers say about STARTTLS to a client that does not speak it yet: mail goes in plaintext. What needs TLS is in
// notCovered.
func policyRows() []row {
	offered := []string{"PIPELINING", "STARTTLS", "8BITMIME"}
	demanded := row{id: "TLS-02", rule: "STARTTLS is demanded, and not spoken: the refusal is the exchanger's, and final", want: all("P 5.7.0"), offer: offered,
		faults: []fault{{at: atMail, times: always, do: do(say("530 5.7.0 Must issue a STARTTLS command first"))}}}
	return []row{
		{id: "TLS-01", rule: "STARTTLS is not offered: plaintext", want: all("OK"), then: same, offer: []string{"PIPELINING"}},
		{id: "TLS-02", rule: "STARTTLS is offered, and not asked for: plaintext, and the session is used again", want: all("OK"), then: same, offer: offered},
		{id: "TLS-02", rule: "STARTTLS is offered in whatever way", want: all("OK"), then: same, offer: []string{"starttls", "STARTTLS REQUIRED", "X-STARTTLS"}},
		demanded,
	}
}
