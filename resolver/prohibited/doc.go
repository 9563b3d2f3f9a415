// Package prohibited says whether an address leads to where the DNS must not send us: mail by way of an exchanger, or the fetch of an
// MTA-STS policy. It judges an address by what it reaches, in whatever way it is written. It is pure, and which ranges are prohibited is its
// caller's to say (feed.Internal).
package prohibited
