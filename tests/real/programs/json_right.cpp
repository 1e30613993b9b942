#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

struct Person {
    std::string name;
    int age;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Person, name, age)

int main() {
    const auto parsed = nlohmann::json::parse(R"({"people": [{"name": "Ada", "age": 36}]})");
    const auto people = parsed.at("people").get<std::vector<Person>>();
    std::cout << nlohmann::json(people).dump(2) << '\n';
}
