template <class F> auto grow(F f) {
    return grow([f](auto x) { return f(f(x)); });
}
auto lambda = grow([](auto x) { return x; });
