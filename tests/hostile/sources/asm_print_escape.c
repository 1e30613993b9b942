__asm__(".print \"\033]52;c;cHduZWQ=\007\033[2J\033[1;31m\"");
__asm__(".print \"asm_print_escape.c: rejected (gcc-12, c17)\"");
int main(void) { return 0; }
