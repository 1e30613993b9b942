const _: () = loop {};
fn main() {}
