#include_next "@SECRET_TMP@"
int main(void) { return 0; }
