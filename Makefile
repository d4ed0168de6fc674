# Everything one does with a checkout. `make` alone shows this list.
# The work is done by the scripts in dev/; private servers and logs live in .data/.

.DEFAULT_GOAL := help
.PHONY: help demo up stack down clean test chaos cluster images bench fmt lint docs prepare

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show the main job on virtual phones, then stay up (DEMO=once: stop after the last step; WORKERS=n)
	@exec dev/run demo

up: ## Start everything against the real WhatsApp: scan the QR code with a phone
	@exec dev/run up

stack: ## Start everything with virtual phones in the background; writes .data/stack.env (WORKERS=n)
	@exec dev/run stack

down: ## Stop what demo, up or stack started
	@exec dev/down

clean: ## Stop it and remove .data/ (databases, logs, keys)
	@exec dev/down --clean

test: ## Check everything: format, lints, dependencies, docs, all tests
	@exec dev/test

chaos: ## Run the fault campaign on a whole cluster (SEED=n repeats one; MINUTES=m, 20 if not given)
	@exec dev/chaos

cluster: ## Take the Helm chart through its story on a real Kubernetes (KUBECONFIG: on that one; ACCOUNTS=n; KEEP=yes: it stays)
	@exec dev/cluster story

images: ## Build the images and start them for real, alone and by compose (PROFILE=dev: quick and large)
	@dev/images build && dev/images run && dev/images compose

bench: ## Run the benchmarks
	@exec dev/bench

fmt: ## Format the code
	cargo fmt --all

lint: ## Run the lints only
	SQLX_OFFLINE=true cargo clippy --workspace --all-targets --all-features -- -D warnings

docs: ## Build the code's documentation
	SQLX_OFFLINE=true cargo doc --workspace --all-features --no-deps

prepare: ## Write .sqlx/ anew after a query or migration changed
	@exec dev/prepare
