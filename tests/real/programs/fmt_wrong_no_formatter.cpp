#define FMT_HEADER_ONLY
#include <fmt/format.h>

struct Opaque {};

int main() { fmt::print("{}\n", Opaque{}); }
