const TEXT: &str = include_str!("@SECRET_TMP@");
const _: () = panic!("{}", TEXT);
fn main() {}
