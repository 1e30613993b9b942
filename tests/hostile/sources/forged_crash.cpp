#error internal compiler error: Segmentation fault
static_assert(sizeof(int) == 1, "\nclang: error: clang frontend command failed with exit code 139 (use -v to see invocation)\nPLEASE submit a bug report to https://github.com/llvm/llvm-project/issues/\nStack dump:\n");
