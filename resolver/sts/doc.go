// Package sts knows MTA-STS (RFC 8461): what a domain says in DNS and over HTTPS about who may take its mail, and with which protection.
package sts
