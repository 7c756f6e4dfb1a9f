//go:build peers

// Package peers names the programs that the tests compile, so that go.sum pins them.
package peers

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
