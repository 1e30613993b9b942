#include <eigen3/Eigen/Core>

Eigen::Matrix2d product(const Eigen::Matrix2d& left, const Eigen::Matrix3d& right) { return left * right; }
