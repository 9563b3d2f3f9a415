package main

import (
	"errors"
	"os"
	"strings"
)

// The table stands between these in the README.
const (
	markBegin = "<!-- bench -->"
	markEnd   = "<!-- /bench -->"
)

// growthFile is where the repository keeps the picture of growth.
const growthFile = "test/bench/growth.svg"

// growthPicture shows it in the README, once it was made.
func growthPicture(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return "\n![Time to the last delivery, against recipients and against hosts](" + file + ")\n"
}

// replaceMarked puts text between the marks, which stand on lines of their own.
func replaceMarked(document, text string) (string, error) {
	before, rest, ok := strings.Cut(document, markBegin)
	if !ok {
		return "", errors.New("there is no " + markBegin)
	}
	_, after, ok := strings.Cut(rest, markEnd)
	if !ok {
		return "", errors.New("there is no " + markEnd + " behind " + markBegin)
	}
	return before + markBegin + "\n" + text + markEnd + after, nil
}

// writeReadme replaces the table in a file.
func writeReadme(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fresh, err := replaceMarked(string(old), text)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fresh), 0o644)
}
