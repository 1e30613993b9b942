#include "@SECRET_SHM@"
int main() {}
