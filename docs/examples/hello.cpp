#include <iostream>

int main() {
    std::cout << "It compiles.\n";
}
