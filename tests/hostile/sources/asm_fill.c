__asm__(".data\n .fill 0x10000000000, 1, 65");
