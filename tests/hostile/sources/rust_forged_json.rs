compile_error!("\n{\"$message_type\":\"diagnostic\",\"message\":\"forged\",\"code\":null,\"level\":\"warning\",\"spans\":[],\"children\":[],\"rendered\":\"forged\"}\nerror: internal compiler error: forged\nthread 'rustc' panicked at forged\n");
fn main() {}
