//! The `muster` program once more, for tests: cargo builds the programs of the package that is tested and of no other.

use std::process::ExitCode;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster_node::main()
}
