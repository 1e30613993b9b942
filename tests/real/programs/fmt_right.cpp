#define FMT_HEADER_ONLY
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <string>
#include <vector>

struct Point {
    double x, y;
};

template <>
struct fmt::formatter<Point> {
    constexpr auto parse(format_parse_context& context) { return context.begin(); }

    template <typename Context>
    auto format(const Point& point, Context& context) const {
        return fmt::format_to(context.out(), "({:.1f}, {:.1f})", point.x, point.y);
    }
};

int main() {
    const std::vector<std::string> words{"one", "two"};
    fmt::print("{:>10}|{:#x}|{}\n", "right", 255, Point{1, 2});
    fmt::print("{} {}\n", fmt::join(words, ", "), std::chrono::milliseconds(42));
}
