#include "@SECRET_HOME@"
int main() {}
