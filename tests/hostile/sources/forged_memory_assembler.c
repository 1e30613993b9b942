__asm__(".error \"cc1: out of memory allocating 65536 bytes after a total of 1 bytes\"");
__asm__(".error \"x: Cannot allocate memory\"");
int main(void) { return 0; }
