package gitserver_test

import (
	"fmt"
	"net/http"
	"os"

	"weir.dev/pkg/gitserver"
)

func Example() {
	dir, err := os.MkdirTemp("", "gitserver")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	repo, err := gitserver.Init(dir, "fleet")
	if err != nil {
		panic(err)
	}
	rev, err := repo.Commit("main", "add app",
		gitserver.File("apps/web.yaml", "kind: App\n"),
		gitserver.Executable("hack/run.sh", "#!/bin/sh\n"),
	)
	if err != nil {
		panic(err)
	}
	fmt.Println(rev)

	handler, err := gitserver.NewHandler(dir, gitserver.Options{Username: "git", Password: "secret"})
	if err != nil {
		panic(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler} // http://127.0.0.1:8080/fleet
	_ = server
	// Output: 3128a43882825f834cbfa6b4e0acdead254d326c
}
