//! Runs the library's [`main`](sigv4_gateway::main).

/// Returns freed memory to the system within seconds, for all threads.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sigv4_gateway::main()
}
