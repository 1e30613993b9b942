// Until C++20 a wrong format string is only noticed when it runs. From then on gcc refuses it.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

int main() { fmt::print("{:d}\n", "not a number"); }
