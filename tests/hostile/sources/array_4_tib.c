int array[1ull << 40];
int main(void) { return 0; }
