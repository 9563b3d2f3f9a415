package conformance

import "slices"

// allRows are the rows, in the order of the table.
func allRows() []row {
	return slices.Concat(
		connectRows(), greetingRows(), helloRows(), replyRows(), mailRows(), rcptRows(), dataRows(), finalRows(), reuseRows(), quitRows(),
		severedRows(), shutRows(), splitRows(), limitRows(), slowRows(), forgetRows(),
		dnsRows(), messageRows(), hostRows(), tlsRows(),
	)
}
