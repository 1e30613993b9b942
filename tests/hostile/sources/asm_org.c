__asm__(".data\n .org 0x10000000000");
