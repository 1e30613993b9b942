static_assert(sizeof(int) == 1, "\ng++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\nvirtual memory exhausted: Cannot allocate memory\n");
