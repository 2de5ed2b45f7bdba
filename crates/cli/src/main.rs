//! The program `sharpness`.

use std::process::ExitCode;

use sharpness_cli::Host;
use sharpness_kernels::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    sharpness_cli::main(std::env::args_os(), Host::Program).into()
}
