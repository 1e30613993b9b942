#[path = "@SECRET_TMP@"]
mod stolen;
fn main() {}
