__asm__(".error \"File size limit exceeded signal terminated program as\"");
__asm__(".error \"final close failed: File too large\"");
int main(void) { return 0; }
