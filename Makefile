# Every command sets up what it needs. `make help` lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:

DEV := cargo run --quiet --package tokenweir-e2e --bin tokenweir-dev --

.PHONY: help
help: ## List the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)$$/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  KUBE_CONTEXT=NAME   use this cluster of your kubeconfig (with IMAGE_REGISTRY= for its images)'
	@echo '  KEEP=1              leave the cluster that a test started running'
	@echo '  ARGS="..."          more arguments for up, load, fuzz, test-e2e and images'

.PHONY: setup
setup: ## Install the system packages that are missing; check Rust and Go
	@tools/setup

.PHONY: up
up: setup ## Start everything, serve the quickstart, show it under load
	@$(DEV) up $(ARGS)

.PHONY: down
down: ## Remove all that `make up` made
	@$(DEV) down

.PHONY: status
status: ## Say what runs
	@$(DEV) status

.PHONY: load
load: ## Drive load through the quickstart again and watch it scale
	@$(DEV) load $(ARGS)

.PHONY: env
env: ## Print what a shell needs for kubectl and helm: eval "$$(make -s env)"
	@$(DEV) --quiet env

.PHONY: test
test: setup lint test-unit fuzz-smoke test-clients test-e2e ## Run every test, those on a real cluster included

.PHONY: test-unit
test-unit: setup ## Run the tests that need no cluster
	cargo test --workspace --exclude tokenweir-e2e

.PHONY: fuzz
fuzz: setup ## Run every fuzz target for five minutes (ARGS="--minutes N TARGET...")
	tools/fuzz $(ARGS)

.PHONY: fuzz-smoke
fuzz-smoke: setup ## Run every fuzz target for some seconds
	tools/fuzz smoke

.PHONY: test-clients
test-clients: setup ## Run the official clients of OpenAI and Anthropic and others against the gateway
	tools/test-clients $(ARGS)

.PHONY: test-e2e
test-e2e: setup ## Run the tests on a real cluster
	tools/test-e2e $(ARGS)

.PHONY: lint
lint: ## Check formatting, lints and dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features tokenweir-fuzz/harness -- -D warnings
	tools/deny

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: cluster
cluster: setup ## Find or start a cluster
	@$(DEV) cluster up

.PHONY: cluster-down
cluster-down: ## Stop the cluster and leave the machine as it was
	@$(DEV) cluster down

.PHONY: cluster-status
cluster-status: ## Say which parts of the local cluster run
	@$(DEV) cluster status

.PHONY: images
images: setup ## Build the images and hand them to the cluster
	@$(DEV) images $(ARGS)

include bench/bench.mk
