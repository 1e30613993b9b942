extern int nowhere(void) __asm__("ld: final link failed: Cannot allocate memory");
int main(void) { return nowhere(); }
