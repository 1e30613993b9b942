fn deeper<T>(depth: u32, value: T) {
    if depth > 0 {
        deeper(depth - 1, (value, 0u8));
    }
}
fn main() {
    deeper(1_000_000, ());
}
