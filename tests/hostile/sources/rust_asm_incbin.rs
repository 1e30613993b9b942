core::arch::global_asm!(".incbin \"@SECRET_TMP@\"");
fn main() {}
