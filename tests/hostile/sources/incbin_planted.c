__asm__(".incbin \"@SECRET_TMP@\"");
int main(void) { return 0; }
