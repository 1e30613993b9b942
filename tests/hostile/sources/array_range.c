int array[] = {[0 ... 0x0fffffff] = 7};
int main(void) { return 0; }
