const TEXT: &str = include_str!("@SECRET_HOME@");
fn main() {}
