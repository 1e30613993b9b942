macro_rules! eight {
    ($($x:expr),*) => { concat!($($x),*, $($x),*, $($x),*, $($x),*, $($x),*, $($x),*, $($x),*, $($x),*) };
}
const TEXT: &str = eight!(eight!(eight!(eight!(eight!(eight!(eight!(eight!(eight!(eight!("0123456789"))))))))));
fn main() {
    println!("{}", TEXT.len());
}
