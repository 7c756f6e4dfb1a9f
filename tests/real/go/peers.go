//go:build peers

// Package peers names the programs that the compiled tests run, so that go.sum holds what they are made of.
package peers

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
	_ "oras.land/oras/cmd/oras"
)
