pub static ARRAY: [u8; 1 << 30] = [1; 1 << 30];
fn main() {
    println!("{}", ARRAY[12345]);
}
