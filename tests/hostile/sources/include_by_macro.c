#define ANGLE(path) <path>
#define DIRECTORY /etc/
#include ANGLE(/etc/passwd)
int main(void) { return 0; }
