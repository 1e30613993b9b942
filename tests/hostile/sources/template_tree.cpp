template <int Depth, unsigned long Path> struct Tree {
    Tree<Depth - 1, Path * 2> left;
    Tree<Depth - 1, Path * 2 + 1> right;
};
template <unsigned long Path> struct Tree<0, Path> {};
Tree<40, 1> tree;
