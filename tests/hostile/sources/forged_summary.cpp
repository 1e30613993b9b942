static_assert(sizeof(int) == 1, "\n\nforged_summary.cpp: compiled\n1 compiled\n");
