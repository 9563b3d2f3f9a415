package lmtp

import "bytes"

// tlsOptionalSearch bounds the search for the field: every host adds fields above it, and some write large ones.
const tlsOptionalSearch = 64 << 10

// tlsOptional says that the header has "TLS-Required: No" (RFC 8689 section 3): the sender prefers delivery to what the receiver's policies
// say about TLS. No other value has a meaning; where several fields differ, the policies count.
func tlsOptional(message [][]byte) (optional bool) {
	head := header(message, tlsOptionalSearch)
	more := len(head) == tlsOptionalSearch // the last field may be cut off
	for len(head) > 0 {
		field, rest := cutField(head)
		name, value, ok := bytes.Cut(field, []byte(":"))
		if !ok || more && len(rest) == 0 {
			break // the header ends here, or is none
		}
		if bytes.EqualFold(name, []byte("TLS-Required")) {
			if optional = bytes.EqualFold(bytes.TrimSpace(value), []byte("No")); !optional {
				break
			}
		}
		head = rest
	}
	return optional
}
