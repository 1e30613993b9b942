__attribute__((section(".gnu.lto_.decls.0"), used)) static const char declarations[] = "not bytecode";
__attribute__((section(".gnu.lto_.opts"), used)) static const char options[] = "'-fplugin=/tmp/evil.so' '-o' '/tmp/evil'";
int main(void) { return 0; }
