__asm__(".macro again\n again\n .endm\n again");
