static ARRAY: [u8; 1 << 62] = [1; 1 << 62];
fn main() {}
