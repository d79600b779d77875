//! The library's [`main`](sigv4_gateway::main).

/// Gives freed memory back to the system within seconds, of all threads.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sigv4_gateway::main()
}
