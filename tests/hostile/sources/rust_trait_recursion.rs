struct Deeper<T>(T);
trait Endless {}
impl<T> Endless for T where Deeper<T>: Endless {}
fn ask<T: Endless>() {}
fn main() {
    ask::<u8>();
}
