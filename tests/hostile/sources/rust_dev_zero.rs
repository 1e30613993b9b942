const BYTES: &[u8] = include_bytes!("/dev/zero");
fn main() {}
