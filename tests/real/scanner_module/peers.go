//go:build peers

// Package scanner names the program that tests run, so that go.sum holds what it is made of.
package scanner

import _ "github.com/google/osv-scanner/v2/cmd/osv-scanner"
