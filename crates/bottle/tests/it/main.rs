//! Runs real bottles. This executable plays five parts: the tests, the launcher that each test
//! starts (`bottle`), the init process of the bottle, the program inside (`probe`), and a kernel
//! that lacks something (`without`).

// What a test without the standard harness prints is its result.
#![allow(clippy::print_stdout, clippy::print_stderr)]
// The probes are the programs that try to get out.
#![allow(clippy::disallowed_methods)]

#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod launcher;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod without;

#[cfg(target_os = "linux")]
fn main() {
    carboy_bottle::init_if_requested();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("bottle") => std::process::exit(launcher::main(&arguments[1..]).into()),
        Some("without") => without::main(&arguments[1..]),
        Some("probe") => probe::main(&arguments[1..]),
        _ => libtest_mimic::run(&libtest_mimic::Arguments::from_args(), cases::all()).exit(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: bottles are made of Linux namespaces");
}
