__asm__(
    ".macro tree n\n .if \\n\n"
    " tree \\n-1\n tree \\n-1\n tree \\n-1\n tree \\n-1\n tree \\n-1\n"
    " tree \\n-1\n tree \\n-1\n tree \\n-1\n tree \\n-1\n tree \\n-1\n"
    " .endif\n .endm\n tree 9");
