#pragma GCC dependency "@SECRET_TMP@" would be newer
int main(void) { return 0; }
