#include <utility>
using Sequence = std::make_index_sequence<(1ul << 31) - 1>;
Sequence sequence;
