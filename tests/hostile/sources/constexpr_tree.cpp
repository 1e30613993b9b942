constexpr unsigned walk(unsigned seed) {
    for (unsigned step = 0; step < 100000; ++step) seed = seed * 1664525 + 1013904223;
    return seed;
}
template <int Depth, unsigned long Path> struct Tree {
    static constexpr unsigned value = walk(Path) + Tree<Depth - 1, Path * 2>::value + Tree<Depth - 1, Path * 2 + 1>::value;
};
template <unsigned long Path> struct Tree<0, Path> { static constexpr unsigned value = 1; };
static_assert(Tree<40, 1>::value == 0, "");
