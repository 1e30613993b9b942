__asm__(".rept 100000\n .print \"The quick brown fox jumps over the lazy dog, again and again.\"\n .endr");
int main(void) { return 0; }
