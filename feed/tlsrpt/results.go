package tlsrpt

// A result is a result type by number.
type result uint8

const (
	success result = iota
	starttlsNotSupported
	certificateHostMismatch
	certificateExpired
	certificateNotTrusted
	validationFailure
	tlsaInvalid
	dnssecInvalid
	daneRequired
	stsPolicyFetchError
	stsPolicyInvalid
	stsWebPKIInvalid
	resultTypes // how many there are
)

// resultNames are the words of RFC 8460 section 4.3.
func resultNames() [resultTypes]string {
	return [resultTypes]string{
		"success", "starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
		"validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid",
		"sts-webpki-invalid",
	}
}

func (r result) String() string { return resultNames()[r] }

// resultOf is the number of a feed.TLSResult's Result.
func resultOf(s string) result {
	switch s {
	case "":
		return success
	case "starttls-not-supported":
		return starttlsNotSupported
	case "certificate-host-mismatch":
		return certificateHostMismatch
	case "certificate-expired":
		return certificateExpired
	case "certificate-not-trusted":
		return certificateNotTrusted
	case "tlsa-invalid":
		return tlsaInvalid
	case "dnssec-invalid":
		return dnssecInvalid
	case "dane-required":
		return daneRequired
	case "sts-policy-fetch-error":
		return stsPolicyFetchError
	case "sts-policy-invalid":
		return stsPolicyInvalid
	case "sts-webpki-invalid":
		return stsWebPKIInvalid
	default:
		// RFC 8460 section 4.3.3: what fits nowhere else "SHOULD use the validation-failure category".
		return validationFailure
	}
}
