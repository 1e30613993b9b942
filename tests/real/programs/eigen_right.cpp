#include <eigen3/Eigen/Dense>
#include <iostream>

int main() {
    Eigen::Matrix3d matrix;
    matrix << 2, -1, 0, -1, 2, -1, 0, -1, 2;
    const Eigen::Vector3d right(1, 2, 3);
    std::cout << matrix.partialPivLu().solve(right).transpose() << '\n'
              << (matrix * matrix.transpose()).trace() << '\n';
}
