#![doc = include_str!("@SECRET_SHM@")]
fn main() {}
