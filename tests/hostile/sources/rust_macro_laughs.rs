#![recursion_limit = "1000"]
macro_rules! double {
    ($($x:tt)*) => { double!($($x)* $($x)*); };
}
double!(x);
fn main() {}
