package wire

// EncodeXText TEMPORARY
func EncodeXText(s string) string { return s }
func encodeORCPT(s string) string { return s }
