template <class A, class B> struct Pair {};
template <int N, class T> struct Grow { using type = typename Grow<N - 1, Pair<T, Pair<T, T>>>::type; };
template <class T> struct Grow<0, T> { using type = T; };
template <class T> struct Name { static constexpr const char *text() { return __PRETTY_FUNCTION__; } };
const char *name = Name<Grow<40, int>::type>::text();
