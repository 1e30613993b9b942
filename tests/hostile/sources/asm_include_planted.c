__asm__(".include \"@SECRET_TMP@\"");
int main(void) { return 0; }
