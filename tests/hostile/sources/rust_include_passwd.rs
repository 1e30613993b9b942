include!("/etc/passwd");
fn main() {}
