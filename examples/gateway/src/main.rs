//! The library's [`main`](sigv4_gateway::main).

fn main() -> std::process::ExitCode {
    sigv4_gateway::main()
}
