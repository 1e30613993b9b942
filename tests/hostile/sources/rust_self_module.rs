#[path = "rust_self_module.rs"]
mod again;
fn main() {}
