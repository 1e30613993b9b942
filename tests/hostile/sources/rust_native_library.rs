#[link(name = "../../../../../etc/passwd", kind = "static", modifiers = "+verbatim,+whole-archive")]
extern "C" {
    fn nowhere();
}
fn main() {
    unsafe { nowhere() }
}
