# Everything that is done with this repository is a target here; `make help` lists them.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

MODULES  := api pkg source-controller kustomize-controller helm-controller image-controller deploy
PROGRAMS := source-controller kustomize-controller helm-controller image-controller
ROOT     := $(CURDIR)
TOOLS    := $(ROOT)/bin

# One set of flags for all, so that programs, tests and the plane share what was compiled.
# What a debugger reads is left out: programs are a fifth smaller without, and link sooner.
export GOFLAGS := -trimpath -ldflags=-w
# With cgo, Go links by the C compiler: slowly, and with every symbol exported.
export CGO_ENABLED := 0

# The plane is built by itself: k8s.io/kubernetes cannot share a workspace.
PLANE_BUILD := GOWORK=off go build -ldflags='-s -w' -v -o $(ROOT)/bin/localplane .

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: $(addprefix bin/,$(PROGRAMS) weir demo bench localplane) ## build every program into bin/

.PHONY: $(addprefix bin/,$(PROGRAMS))
$(addprefix bin/,$(PROGRAMS)): bin/%:
	@mkdir -p bin
	go build -o $@ ./$*

.PHONY: bin/demo bin/bench
bin/demo bin/bench: bin/%:
	@mkdir -p bin
	go build -o $@ ./deploy/$*

.PHONY: bin/weir
bin/weir:
	@mkdir -p bin
	go build -o $@ ./deploy/cli

.PHONY: bin/localplane
bin/localplane:
	@mkdir -p bin
	@[ -x $@ ] || echo "Building bin/localplane, a Kubernetes of its own: about ten minutes the first time."
	@cd deploy/localplane && $(PLANE_BUILD) 2>&1 | awk '{n++; if (n % 100 == 0) printf "  %d packages of about 2000\n", n; fflush()} !/^[a-z0-9.]+(\/|$$)/ {print} END {if (n) printf "  %d packages, linked\n", n}'

# Images need programs for Linux: those of bin/, or of bin/linux-ARCH for each of ARCH.
IMAGE_BINS = $(if $(ARCH),$(patsubst %,bin/linux-%,$(ARCH)),bin)
empty :=
comma := ,

.PHONY: images
images: $(if $(ARCH),,$(addprefix bin/,$(PROGRAMS))) ## build container images, no engine needed; REGISTRY=host/path pushes them, ARCH="amd64 arm64" for both
	@for a in $(ARCH); do for p in $(PROGRAMS); do echo "building $$p for $$a"; GOOS=linux GOARCH=$$a go build -o bin/linux-$$a/$$p ./$$p || exit 1; done; done
	@go run ./deploy/images -bin $(subst $(empty) $(empty),$(comma),$(strip $(IMAGE_BINS))) $(if $(REGISTRY),-registry $(REGISTRY)) $(if $(VERSION),-version $(VERSION))

.PHONY: test
test: build ## run all tests, with the real programs on a real API server of this machine
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && go test -count=1 -timeout 20m ./...) || exit 1; done
	@echo "== deploy/localplane"; cd deploy/localplane && GOWORK=off go test -count=1 ./...

.PHONY: demo
demo: build ## show the main job on an empty cluster of this machine; BOOTSTRAP=1 that of a cluster run from Git; EXIT=1 ends after the last step
	@./bin/demo $(if $(BOOTSTRAP),--bootstrap) $(if $(EXIT),--exit)

.PHONY: bench
bench: build ## measure the system on this machine, beside the floor; OUT=file keeps the result
	@./bin/bench $(if $(OUT),-out $(OUT))

.PHONY: bench-cli
bench-cli: bin/localplane ## measure commands that people wait for, with 1000 objects of each kind; OUT=file keeps the result
	cd deploy && go test -count=1 -timeout 60m -v ./cli/internal/speed -objects=1000 -rounds=5 $(if $(OUT),-out=$(abspath $(OUT)))

.PHONY: soak
soak: build ## disturb the system for ten minutes, and compare the cluster with Git; SEED=n repeats a run
	cd deploy && go test -count=1 -timeout 30m -v ./soak -run TestSoak -soak=10m -kustomizations=200 $(if $(SEED),-seed=$(SEED))

.PHONY: generate
generate: $(TOOLS)/controller-gen ## write deepcopy functions and CRDs
	cd api && GOWORK=off $(TOOLS)/controller-gen object crd paths=./... output:crd:dir=../deploy/crds

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## check the code against the house style
	@.ci/file-length
	@for m in $(MODULES); do echo "== lint $$m"; (cd $$m && $(TOOLS)/golangci-lint run --config $(ROOT)/.ci/golangci.yml ./...) || exit 1; done

.PHONY: verify
verify: generate ## check that generated files are current, modules tidy and each builds alone
	@for m in $(MODULES) deploy/localplane .ci/controller-gen .ci/golangci-lint; do (cd $$m && GOWORK=off go mod tidy -diff) || { echo "$$m: run go mod tidy"; exit 1; }; done
	@for m in $(MODULES); do (cd $$m && GOWORK=off go build ./...) || exit 1; done
	@git diff --exit-code -- api deploy/crds || { echo "generated files are not current: run make generate"; exit 1; }

$(TOOLS)/controller-gen: .ci/controller-gen/go.mod
	GOWORK=off go -C .ci/controller-gen build -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen

$(TOOLS)/golangci-lint: .ci/golangci-lint/go.mod
	GOWORK=off go -C .ci/golangci-lint build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: clean
clean: ## stop the test plane and remove what was built
	@[ ! -d .cache/testplane ] || bin/localplane down --dir .cache/testplane --delete
	rm -rf bin .cache
