#![crate_name = "../../../../tmp/evil"]
fn main() {}
