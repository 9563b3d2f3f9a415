package conformance

// notCovered are the faults of the catalogue without a script, and why.
func notCovered() map[string]string { return hostNotCovered() }
