const TEXT: &str = include_str!(concat!("/e", "tc/sha", "dow"));
fn main() {}
