const _: () = panic!(concat!("home=", env!("HOME"), " path=", env!("PATH")));
fn main() {}
