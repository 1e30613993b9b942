#include <concepts>
#include <format>
#include <iostream>

template <std::integral T>
constexpr T twice(T number) {
    return 2 * number;
}

int main() {
    std::cout << std::format("twice {} is {}\n", 21, twice(21));
}
