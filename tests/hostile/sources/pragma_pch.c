#pragma GCC pch_preprocess "@SECRET_TMP@"
int main(void) { return 0; }
