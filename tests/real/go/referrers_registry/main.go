// A registry in memory that keeps lists of referrers, as docker-registry 2.8 does not.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	os.Stdout.Close()
	log.Fatal(http.Serve(listener, registry.New(registry.WithReferrersSupport(true))))
}
