macro_rules! again {
    ($($x:tt)*) => { again!($($x)* x) };
}
again!();
fn main() {}
