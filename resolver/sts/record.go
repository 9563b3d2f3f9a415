package sts

import "strings"

// ParseRecord reads the TXT strings at _mta-sts.<domain>, each joined already, and returns the policy's id.
//
// RFC 8461 section 3.1: "records that do not begin with "v=STSv1;" are discarded. If the number of resulting records is not
// one, or if the resulting record is syntactically invalid, senders MUST assume the recipient domain does not have an
// available MTA-STS Policy". Then ok is false.
func ParseRecord(texts []string) (id string, ok bool) {
	found := 0
	var fields string
	for _, t := range texts {
		if rest, ours := strings.CutPrefix(t, "v=STSv1;"); ours {
			fields = rest
			found++
		}
	}
	if found != 1 {
		return "", false
	}
	return recordID(fields)
}

// recordID reads what stands behind the version: fields with semicolons between them, and perhaps one at the end.
func recordID(fields string) (id string, ok bool) {
	parts := strings.Split(fields, ";")
	for i, part := range parts {
		field := strings.Trim(part, " \t")
		if field == "" && i == len(parts)-1 && i > 0 {
			break
		}
		name, value, _ := strings.Cut(field, "=")
		// Section 3.2 says of policies that the first one of fields with the same name counts; here nothing is said.
		if name == "id" && id == "" {
			if !isID(value) {
				return "", false
			}
			id = strings.Clone(value)
			continue
		}
		if !isKey(name) || value == "" || strings.ContainsFunc(value, notExtensionByte) {
			return "", false
		}
	}
	return id, id != ""
}

// isID is sts-id: 1*32(ALPHA / DIGIT).
func isID(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, notAlphanumeric)
}

// isKey is sts-ext-name and sts-policy-ext-name: (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".").
func isKey(s string) bool {
	if s == "" || len(s) > 32 || notAlphanumeric(rune(s[0])) {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return notAlphanumeric(c) && c != '_' && c != '-' && c != '.' })
}

func notAlphanumeric(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
}

// notExtensionByte tells what sts-ext-value excludes: "chars excluding "=", ";", and SP, and CTLs".
func notExtensionByte(c rune) bool { return c <= ' ' || c >= 0x7f || c == '=' || c == ';' }
