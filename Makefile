# The four ways to use this repository. Each works from an empty clone on Debian with Rust; see README.md.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help run build test bench verify fmt clippy doc deny purity

help: ## Tells what there is.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: build ## Builds, and runs a cluster of three nodes on this machine until Ctrl-C. ARGS go to `muster dev`.
	@exec "$$(tools/with-rocksdb cargo metadata --locked --no-deps --format-version 1 | \
		sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/muster" dev $(ARGS)

build: ## Builds the program, in the profile that tests use too.
	@tools/install-prerequisites
	tools/with-rocksdb cargo build --locked --package muster

test: ## Runs all tests; calls nothing outside this machine but the package registries.
	@tools/install-prerequisites
	tools/with-rocksdb tools/test

bench: ## Measures a cluster against what it is to achieve. BENCH=quick only shows that measuring works.
	@tools/install-prerequisites
	tools/with-rocksdb cargo bench --locked --package muster-control --bench state
	tools/with-rocksdb cargo bench --locked --package muster-tests --bench cluster
	@if [ "$${BENCH:-}" != quick ]; then \
		tools/with-rocksdb cargo test --locked --release --package muster-gateway --test agents -- \
			--ignored --nocapture --test-threads 1 figures; \
		tools/with-rocksdb cargo test --locked --release --package muster-tests --test system -- \
			--ignored --nocapture fifty_thousand; \
	fi

verify: fmt clippy doc deny purity ## Checks form, lints, documentation, licences and dependencies. Changes nothing.

fmt:
	cargo fmt --all -- --check

clippy:
	@tools/install-prerequisites
	tools/with-rocksdb cargo clippy --locked --workspace --all-targets -- -D warnings

# Private items are documented too, so the tables of contents at the top of the crates may link to them.
doc:
	@tools/install-prerequisites
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" tools/with-rocksdb cargo doc --locked --workspace --no-deps --document-private-items

# Advisories are checked where the database is at hand: fetching it would call neither registry nor mirror.
deny:
	@tools/install-prerequisites --verify
	cargo fetch --locked --quiet
	tools/cargo-deny --offline --locked check --hide-inclusion-graph bans licenses sources
	@if compgen -G "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs/*/.git" >/dev/null; then \
		tools/cargo-deny --offline --locked check advisories; \
	else \
		echo "advisories not checked: no database on this machine (tools/cargo-deny fetch db)"; \
	fi

purity:
	tools/check-purity
