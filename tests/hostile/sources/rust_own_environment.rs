const BYTES: &[u8] = include_bytes!("/proc/self/environ");
const TEXT: &str = match core::str::from_utf8(BYTES) {
    Ok(text) => text,
    Err(_) => "not UTF-8",
};
const _: () = panic!("{}", TEXT);
fn main() {}
