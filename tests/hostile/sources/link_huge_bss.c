char array[1ul << 40];
int main(void) { return 0; }
