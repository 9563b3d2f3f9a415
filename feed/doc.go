// Package feed (draft)
package feed
