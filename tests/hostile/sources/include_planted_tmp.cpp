#include "@SECRET_TMP@"
int main() {}
