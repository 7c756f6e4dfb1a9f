//go:build peers

// Package clair names the program that tests run, so that go.sum holds what it is made of.
package clair

import _ "github.com/quay/clair/v4/cmd/clair"
